"""Every command of the documents is there, takes what it is shown with, and runs."""

import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import witt
from tests.documented import (
    PAGES,
    ROOT,
    Documented,
    click_command,
    code_blocks,
    of_examples,
    of_help,
    of_page,
)
from witt.codecs.published import export_published

EVERYTHING = [*(shown for page in PAGES for shown in of_page(page)), *of_examples(), *of_help()]
ELSEWHERE = {
    "docs/tutorial.md": "test_site.py",
    "examples/plugin/README.md": "test_examples.py",
    "witt demo": "tests/benchmarks/demo",
}
# What is done in seconds on small pictures, from files that are there or were just sent.
QUICK = ("info", "send", "receive", "channel", "plot", "report")
EXTRAS = {"baselines": ("sionna", "pillow_heif", "dask"), "export": ("onnx",), "demo": ("uvicorn",)}
# Options that are given smaller values, so that a command of an hour is done in seconds.
SMALLER = {"--repeats": "2", "--adapt": "1", "--limit": "1"}
TRAINED = ("--minutes", "--steps", "--batch", "--crop", "--workers", "--warmup", "--val-minutes")
BRIEFLY = "--steps 2 --batch 2 --crop 64 --workers 0 --warmup 1 --device cpu --no-tensorboard"


def is_quick(shown: Documented) -> bool:
    """Whether seconds are enough, with small pictures."""
    found = click_command(shown)
    return found is not None and found[0].name in QUICK


def to_run(page: str) -> Iterator[Documented]:
    """The commands of a page that a test can run."""
    for shown in EVERYTHING:
        if shown.where == page and shown.whole and not {page, shown.line} & set(ELSEWHERE):
            script = shown.program.startswith("python") and shown.words[1].endswith(".py")
            ours = click_command(shown) is not None or script
            if ours and (shown.needs is None or shown.extra is not None):
                yield shown


# The cards of weights tell what was done, and the lines of help stand by themselves.
RUN = [
    page
    for page in dict.fromkeys(shown.where for shown in EVERYTHING)
    if not page.startswith("witt") and any(to_run(page))
]
BRIEF = [page for page in RUN if any(is_quick(shown) for shown in to_run(page))]


def label(shown: Documented) -> str:
    return f"{shown.where}: {shown.line}"


def test_there_are_commands() -> None:
    """What collects them finds them: on pages, in examples and in the help."""
    whole = [shown for shown in EVERYTHING if shown.whole]
    assert len(whole) > 100
    assert {shown.where for shown in whole} >= {"README.md", "docs/gpu.md", "witt info --help"}
    assert any(shown.variables for shown in whole)
    assert any(shown.needs == "needs a GPU" for shown in whole)


@pytest.mark.parametrize("shown", EVERYTHING, ids=label)
def test_it_parses(shown: Documented) -> None:
    """By the command itself: its options are there and take these values."""
    if "my_channel" in shown.line:
        pytest.skip("of a package that test_examples.py installs")
    found = click_command(shown)
    if found is None:
        check_other(shown)
        return
    command, arguments = found
    try:
        command.make_context(command.name, arguments)
    except click.exceptions.Exit:  # of --help
        pass
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        # In a sentence a command is often no more than its name.
        if shown.whole:
            raise


def check_other(shown: Documented) -> None:
    """A line of make, pip or Python: what it names is there."""
    words = shown.words[1:]
    if shown.program == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{word}:", targets, re.MULTILINE) for word in words)
    elif shown.program == "pip":
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        for word in words:
            path, _, extra = word.rstrip("]").partition("[")
            assert word in ("install", "-e") or (ROOT / path).is_dir()
            assert not extra or re.search(rf"^{extra} = \[", project, re.MULTILINE)
    elif shown.program.startswith("python") and words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file()
    else:
        # Python from standard input, and pytest.
        assert words[0] in ("-", "-c") or words[:2] == ["-m", "pytest"], shown.line


@pytest.mark.parametrize("page", BRIEF)
def test_what_is_quick_runs(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = ROOT / "benchmarks" / "results" / "kodak-awgn-snr.json"
    for name in ("awgn.json", "edges.json", "acc.json"):
        shutil.copy(results, folder / name)
    (folder / "runs" / "ablation").mkdir(parents=True, exist_ok=True)
    ablation = ROOT / "benchmarks" / "results" / "ablation-cifar10.json"
    shutil.copy(ablation, folder / "runs" / "ablation" / "results.json")
    for shown in to_run(page):
        if is_quick(shown):
            run(shown, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # of small pictures, and of two steps of training
@pytest.mark.parametrize("page", RUN)
def test_all_of_a_page_runs(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command after the other, as a reader would; with fewer steps and pictures."""
    if page == "docs/published.md":
        theirs = witt.create_model("witt_base", sends_scale=True)
        export_published(folder / "published.model", theirs)
    for shown in to_run(page):
        missing = [name for name in EXTRAS.get(shown.extra or "", ()) if find_spec(name) is None]
        if missing:
            pytest.skip(f"{shown.line}: {shown.needs}")
        run(shown, monkeypatch)


def run(shown: Documented, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command here; it must end well."""
    for name, value in shown.variables.items():
        monkeypatch.setenv(name, value)
    found = click_command(shown)
    if found is None:
        words = [word for word in shown.words[1:] if not word.startswith("[")]
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")
        return
    command, arguments = found
    with torch.random.fork_rng(devices=[]):
        result = CliRunner().invoke(command, shortened(command, arguments))
    assert result.exit_code == 0, f"{label(shown)}\n{result.output}\n{result.exception!r}"


def shortened(command: click.Command, words: list[str]) -> list[str]:
    """The same with less to do."""
    short = [SMALLER.get(before, word) for before, word in zip(["", *words], words, strict=False)]
    if command.name == "train" and "list" not in words:
        cut = {at + more for at, word in enumerate(words) if word in TRAINED for more in (0, 1)}
        short = [word for at, word in enumerate(words) if at not in cut]
        return short + (["--steps", "3"] if "--resume" in words else BRIEFLY.split())
    return (
        [*short, "--quick"] if command.callback.__module__ == "benchmarks.speed.command" else short
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages take to be there: the repository's files, and small photographs."""
    for name in ("witt/samples", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    shutil.copy(ROOT / "benchmarks" / "results" / "kodak-awgn-snr.json", results)
    sample = witt.read_image(ROOT / "witt" / "samples" / "kodim23.png").pixels
    for place in ("photos/a", "photos/b", "more_photos/c", "train/d", "valid/e", "a", "photo"):
        top = 16 * len(list(tmp_path.rglob("*.png")))
        picture(tmp_path / f"{place}.png", sample[top : top + 96, 200:296])
    for number in range(4):
        for kodak in ("kodak", "data/kodak"):
            # Of a size that fills code blocks of 6144 bits, whose error rates are shipped.
            top = 100 * number
            picture(tmp_path / f"{kodak}/kodim{number + 1:02}.png", sample[top : top + 128, 96:224])
    picture(tmp_path / "cifar10" / "test_00.png", np.tile(sample[:128, :128], (8, 8, 1)))
    mine = "\n".join(code_blocks(ROOT / "docs" / "extending.md", "python"))
    functions = re.findall(r"^def (?:l1|noise)\(.*?(?=^\S|\Z)", mine, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text("\n".join(["import numpy as np\n", *functions]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    witt.write_png(path, np.ascontiguousarray(pixels))
