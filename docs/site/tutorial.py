"""Run the commands of docs/tutorial.md and keep the pictures that it shows.

python docs/site/tutorial.py docs/tutorial     # the pictures of the repository anew
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^ {4}witt (.*)$", re.MULTILINE)
# What a command leaves, and the picture of the page that comes of it.
PICTURES = {
    "out/10/kodim23_comparison.png": "at-10-db.jpg",
    "out/1/kodim23_comparison.png": "at-1-db.jpg",
    "out/1/kodim23_map.png": "map-at-1-db.jpg",
    "out/figures/samples-awgn-psnr-over-snr-at-cbr-1-16.png": "cliff.png",
}
WIDTH = 1200


def commands() -> list[list[str]]:
    """The arguments of each command of the page, in its order."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", "")
    return [shlex.split(line) for line in BLOCK.findall(text)]


def make(folder: Path) -> None:
    """Run the commands where only the samples are, and write the pictures to a folder."""
    sys.path.insert(0, str(ROOT))
    import cli

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        there = Path(temporary)
        shutil.copytree(ROOT / "witt" / "samples", there / "witt" / "samples")
        before = Path.cwd()
        os.chdir(there)
        try:
            for arguments in commands():
                cli.cli.main(arguments, prog_name="witt", standalone_mode=False)
        finally:
            os.chdir(before)
        for made, shown in PICTURES.items():
            _keep(there / made, folder / shown)


def _keep(made: Path, shown: Path) -> None:
    with Image.open(made) as picture:
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        if shown.suffix == ".jpg":
            picture.convert("RGB").save(shown, quality=80, optimize=True)
        else:
            picture.convert("RGB").quantize(64).save(shown, optimize=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
