"""The site: every page is in it, every link in it leads somewhere, its tutorial is true."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from PIL import Image

import channels
import witt

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"
PICTURES = ROOT / "docs" / "tutorial"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_page_is_in_the_contents() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *SITE.rglob("*.md")]
    named = re.findall(r"^(?:docs|benchmarks)/\S+$", (SITE / "conf.py").read_text(), re.MULTILINE)
    assert len(set(named)) == len(named)
    assert {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages} <= set(named)
    assert all((ROOT / f"{name}.md").is_file() for name in named)


def test_the_tutorial_shows_what_its_commands_make() -> None:
    tutorial = module("tutorial")
    shown = re.findall(r"\]\(tutorial/(\S+)\)", tutorial.PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(tutorial.PICTURES.values())
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())
    folders = {"/".join(made.split("/")[:2]) for made in tutorial.PICTURES}
    outputs = {word for words in tutorial.commands() for word in words if word.startswith("out/")}
    assert folders <= outputs


@pytest.mark.slow
def test_the_tutorial_is_true(tmp_path: Path) -> None:
    """Each of its commands runs, and makes the pictures that are on the page in the repository."""
    command = [sys.executable, str(SITE / "tutorial.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for path in PICTURES.iterdir():
        with Image.open(path) as one, Image.open(tmp_path / path.name) as other:
            assert one.size == other.size
            pixels = [np.asarray(each.convert("RGB"), dtype=float) for each in (one, other)]
        # Machines round apart; another version of a codec or of a figure looks otherwise.
        assert np.abs(pixels[0] - pixels[1]).mean() < 2, f"{path.name}: make it anew"
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


class Page(HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


@pytest.mark.slow
def test_it_builds_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name)
    out = tmp_path / "site"
    options = ["-W", "-q", "-c", "docs/site", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ".", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in out.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link):
                continue
            target, anchor = urldefrag(link)
            there = (path.parent / unquote(target.partition("?")[0])).resolve() if target else path
            assert there.is_file(), f"{path.name}: {link}"
            if anchor and there in pages:
                assert unquote(anchor) in pages[there].anchors, f"{path.name}: {link}"
    for package in (witt, channels):
        told = pages[out / "docs" / "site" / "api" / f"{package.__name__}.html"].anchors
        missing = {f"{package.__name__}.{name}" for name in package.__all__} - told
        assert missing <= {"witt.CODECS", "witt.PRESETS", "channels.theory"}
