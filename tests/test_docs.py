"""README and docs: every link, path, name and command in them is there; README stays short."""

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import cli
from witt import registry

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "results" / "README.md",
    *sorted((ROOT / "witt" / "weights").glob("*.md")),
]
HOUSE = ("witt", "channels", "benchmarks", "cli", "docs", "examples", "tests")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
NAME = re.compile(r"(witt|channels|benchmarks)(\.\w+)+")
GROUPS = {each.group for each in vars(registry).values() if isinstance(each, registry.Registry)}
COMMAND = re.compile(r"(?:\.venv/bin/)?witt (?=[a-z])|[\w./ -]+ -m (?=cli|benchmarks)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text_of(page)) if kind == language]


def inline(page: Path) -> Iterator[str]:
    """Code between backticks, each on one line."""
    for found in INLINE.findall(FENCE.sub("", text_of(page))):
        yield " ".join(found.split())


def slug(heading: str) -> str:
    """The anchor that a heading is given."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def commands(page: Path) -> Iterator[str]:
    """Command lines of witt or of one of our modules: in blocks, scripts and between backticks."""
    text = text_of(page)
    blocks = [body for kind, body in FENCE.findall(text) if kind in ("sh", "")]
    blocks += INDENTED.findall(FENCE.sub("", text))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in (*lines, *inline(page)):
        for part in re.split(r"&&|;", line):
            if COMMAND.match(part.strip()):
                yield re.sub(r"^\S*witt ", "", part.strip())


def arguments(command: str) -> list[str]:
    """Its words, without a comment and without … for what is left out."""
    words = shlex.split(command.partition("|")[0].partition("2>")[0], comments=True)
    return [word for word in words if word != "…"]


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
def test_commands_parse(page: Path) -> None:
    """Each command is there, and has the options that it is shown with."""
    for line in commands(page):
        words = arguments(line)
        if "-m" in words:
            words = words[words.index("-m") + 1 :]
            module = words.pop(0)
            assert importlib.util.find_spec(module) is not None, line
            if module != "cli":
                continue
        name, *rest = words
        command = cli.LazyGroup().get_command(click.Context(cli.cli), name)
        while isinstance(command, click.Group):
            command, rest = command.get_command(click.Context(command), rest[0]), rest[1:]
        assert command is not None, line
        # With its settings: click keeps the names of the help option that it sees first.
        context = click.Context(command, info_name=name, **command.context_settings)
        _, left, _ = command.make_parser(context).parse_args(rest)
        assert not left, line


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
