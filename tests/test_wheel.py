"""The wheel, installed far from the checkout: all that it needs is in it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("witt", "channels", "benchmarks")
# Figures of the project's own, which no command reads.
LEFT_OUT = ("benchmarks/results/",)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no old build folder of the checkout gets into it."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("cli.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out)]
    subprocess.run([*pip, str(source)], check=True, env=clean_environment())
    (path,) = out.glob("witt-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts' folder of an environment with the wheel and the packages it needs.

    Those are the ones of this environment, by a path that comes after the wheel's own; what is in
    .pth files there, the editable checkout among it, does not count in such a folder.
    """
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=True, symlinks=True)
    scripts = root / "bin"
    subprocess.run(
        [scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel],
        check=True,
        env=clean_environment(),
    )
    (site,) = (root / "lib").glob("python*/site-packages")
    folders = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (site / "shared.pth").write_text("\n".join(folders) + "\n")
    return scripts


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}


def run(scripts: Path, where: Path, *command: str) -> str:
    """What a command of the new environment prints, started in a folder of its own."""
    done = subprocess.run(
        [scripts / command[0], *command[1:]],
        cwd=where,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_in_it(wheel: Path) -> None:
    """Every data file of the packages, and nothing beside the packages."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {*PACKAGES, "cli.py"}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = {name for name in files - names if not name.startswith(LEFT_OUT)}
    assert not missing, sorted(missing)


def test_it_transmits_evaluates_and_plots(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed,
        tmp_path,
        "python",
        "-c",
        "import witt, channels, benchmarks, cli\n"
        "print(*(m.__file__ for m in (witt, channels, benchmarks, cli)), sep='\\n')",
    )
    # The environment's own, not the checkout's.
    root = str(installed.parent.resolve())
    assert all(str(Path(line).resolve()).startswith(root) for line in where.split())

    run(
        installed,
        tmp_path,
        "python",
        "-c",
        "from pathlib import Path; import PIL.Image, witt\n"
        "Path('photos').mkdir()\n"
        "sample = Path(witt.__file__).parent / 'samples' / 'kodim23.png'\n"
        "PIL.Image.open(sample).crop((256, 128, 384, 224)).save('photos/photo.png')",
    )
    sent = json.loads(
        run(installed, tmp_path, "witt", "transmit", "photos/photo.png", "--snr", "10", "--json")
    )
    assert sent[0]["psnr_db"] > 25
    assert (tmp_path / "witt_out" / "photo_comparison.png").is_file()

    run(installed, tmp_path, "witt", "evaluate", "photos", "--snr", "1,10", "-o", "mean.json")
    assert (tmp_path / "mean.json").is_file()

    compared = ["--dataset", "photos", "--snr", "1,10", "--no-ms-ssim", "-o", "compared.json"]
    run(installed, tmp_path, "witt", "benchmark", "--schemes", "witt_light,linear", *compared)
    run(installed, tmp_path, "witt", "plot", "compared.json", "-o", "figures")
    assert list((tmp_path / "figures").glob("*.png"))

    assert "paper-kodak-awgn" in run(installed, tmp_path, "witt", "train", "--recipe", "list")
    assert "witt_base" in run(installed, tmp_path, "witt", "info")
