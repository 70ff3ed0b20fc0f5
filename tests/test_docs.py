"""README and docs: every link, path and name in them is there; README stays short."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tests.documented import FENCE, PAGES, README, ROOT, code_blocks, inline, text_of
from witt import registry

HOUSE = ("witt", "channels", "benchmarks", "cli", "docs", "examples", "tests")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"(witt|channels|benchmarks)(\.\w+)+")
GROUPS = {each.group for each in vars(registry).values() if isinstance(each, registry.Registry)}


def slug(heading: str) -> str:
    """The anchor that a heading is given."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_readme_is_short() -> None:
    assert len(text_of(README).splitlines()) <= 150


def test_readme_names_every_page() -> None:
    """No page is there that nobody finds."""
    named = {target.split("#")[0] for target in LINK.findall(text_of(README))}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages <= named


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
            assert anchor in map(slug, headings), target


@every_page
def test_paths_are_there(page: Path) -> None:
    for found in inline(page):
        path = found.rstrip("/")
        if re.fullmatch(r"[\w.*/-]+", path) and path.split("/")[0] in HOUSE and "/" in path:
            assert list(ROOT.glob(path)), found


@every_page
def test_names_can_be_imported(page: Path) -> None:
    for found in inline(page):
        name = re.match(NAME, found)
        if name is None or "/" in found or found.endswith((".py", ".model", ".json")):
            continue
        if found in GROUPS:  # of entry points
            continue
        thing, parts = importlib.import_module(name[1]), name[0].split(".")[1:]
        for depth, part in enumerate(parts):
            module = ".".join((name[1], *parts[: depth + 1]))
            if not hasattr(thing, part) and importlib.util.find_spec(module) is not None:
                importlib.import_module(module)
            assert hasattr(thing, part), found
            thing = getattr(thing, part)


@every_page
def test_python_is_python(page: Path) -> None:
    for block in code_blocks(page, "python"):
        ast.parse(block)


def test_python_in_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = code_blocks(README, "python")
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_readme_and_results_give_the_same_figures() -> None:
    """The rows of README's table are those of docs/results.md."""

    def rows(page: Path) -> set[tuple[str, ...]]:
        table = [line.split("|")[2:-1] for line in text_of(page).splitlines() if line[:1] == "|"]
        return {tuple(map(str.strip, cells)) for cells in table if ".".join(cells).count(".") > 5}

    shown = rows(README)
    assert len(shown) >= 6
    assert shown <= rows(ROOT / "docs" / "results.md")
