"""The commands that the documents show: where they stand, their words, and what they need.

A comment at the end of a line, or on a line of its own above others in the same block, says what a
command needs that the tests do not have: `# needs a GPU`, `# takes an hour`. Such a command is
parsed and not run. `# needs [baselines]` is run where that extra is installed, and so is what a
page shows after `pip install -e '.[baselines]'`.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

import cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "results" / "README.md",
    ROOT / "examples" / "plugin" / "README.md",
    *sorted((ROOT / "witt" / "weights").glob("*.md")),
    *sorted((ROOT / "witt" / "metrics" / "data").glob("*.md")),
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

INLINE = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")
NEEDS = re.compile(r"needs .+|takes (?:an hour|hours|days).*")
EXTRA = re.compile(r"needs \[(\w+)\]")
INSTALLED = re.compile(r"pip install -e '\.(\[\w+\])'")
VARIABLE = re.compile(r"[A-Z_]+=\S*")
# Programs whose lines are checked; what else a block shows (cp, git, nvidia-smi) is not ours.
PROGRAMS = ("witt", "python", "python3", "make", "pip", "torchrun", "accelerate")


class Documented(NamedTuple):
    """A command as it is shown.

    where: the page or file, from the repository.
    line: as it is shown, in one line.
    words: those of the line, without variables before it.
    variables: those, by name.
    needs: what it needs beyond the installed package, as the comment says; None for nothing.
    whole: whether it stands there to be run, not to be spoken of.
    """

    where: str
    line: str
    words: list[str]
    variables: dict[str, str]
    needs: str | None
    whole: bool

    @property
    def program(self) -> str:
        """What is started, without a folder."""
        return self.words[0].rpartition("/")[2]

    @property
    def extra(self) -> str | None:
        """The extra of `pyproject.toml` that it needs."""
        found = EXTRA.fullmatch(self.needs or "")
        return found.group(1) if found else None


def text_of(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def code_blocks(page: Path, language: str) -> list[str]:
    """The blocks between fences in one language."""
    return [body for kind, body in FENCE.findall(text_of(page)) if kind == language]


def inline(page: Path) -> Iterator[str]:
    """Code between backticks, each on one line."""
    for found in INLINE.findall(FENCE.sub("", text_of(page))):
        yield " ".join(found.split())


def of_page(page: Path) -> Iterator[Documented]:
    """Commands of a page: those of its blocks in their order, then those in its sentences."""
    where = page.relative_to(ROOT).as_posix()
    text = text_of(page)
    # Blocks in the order of the page: a command reads what one before it wrote.
    blocks = [(found.start(), found[2]) for found in FENCE.finditer(text) if found[1] in ("sh", "")]
    # Of the same length, so that places are those of the page.
    bare = FENCE.sub(lambda found: re.sub(r"[^\n]", ".", found[0]), text)
    blocks += [(found.start(), found[0]) for found in INDENTED.finditer(bare)]
    installed: str | None = None
    for _, block in sorted(blocks):
        for shown in of_block(where, block):
            if extra := INSTALLED.fullmatch(shown.line):
                installed = f"needs {extra[1]}"
            yield shown._replace(needs=shown.needs or installed)
    for line in inline(page):
        yield from _commands(where, line, None, whole=False)


def of_block(where: str, block: str) -> Iterator[Documented]:
    """Commands of a block of shell lines."""
    ahead: str | None = None  # what a comment above says
    for line in re.sub(r"\\\n", " ", block).splitlines():
        comment = COMMENT.search(line)
        said = NEEDS.search(comment[1]) if comment else None
        shown = line[: comment.start()] if comment else line
        if not shown.strip():
            ahead = said[0] if said else ahead
            continue
        yield from _commands(where, shown, said[0] if said else ahead, whole=True)


def of_examples() -> Iterator[Documented]:
    """Commands in the first lines of examples."""
    for path in EXAMPLES:
        told = ast.get_docstring(ast.parse(text_of(path))) or ""
        yield from of_block(path.relative_to(ROOT).as_posix(), told)


def of_help() -> Iterator[Documented]:
    """Commands in the help of ours."""
    for entry in cli.COMMANDS:
        lines = (command_of(entry.name).epilog or "").splitlines()
        for line in lines:
            shown = re.sub(r"^.*?Examples?:|\(.*\)", "", line)
            yield from of_block(f"witt {entry.name} --help", shown.rstrip("."))


def _commands(where: str, line: str, needs: str | None, whole: bool) -> Iterator[Documented]:
    for part in re.split(r"&&|;|\|\s", line):
        shown = part.partition("2>")[0].strip()
        try:
            words = [word for word in shlex.split(shown) if word != "…"]
        except ValueError:  # an apostrophe in a tree of files
            continue
        variables = {}
        while words and VARIABLE.fullmatch(words[0]):
            name, _, variables[name] = words.pop(0).partition("=")
        if len(words) < 2 or words[0].rpartition("/")[2] not in PROGRAMS:
            continue
        if not re.fullmatch(r"[-.]|[-./\w]*[a-z][-./\w]*", words[1]):
            continue  # a diagram that begins with the name, or COMMAND in place of one
        yield Documented(where, " ".join(shown.split()), words, variables, needs, whole)


def command_of(name: str) -> click.Command:
    """A command of ours."""
    found = cli.LazyGroup().get_command(click.Context(cli.cli), name)
    assert found is not None, f"there is no witt {name}"
    return found


def _within(command: click.Command, words: list[str]) -> tuple[click.Command, list[str]]:
    """A command, or that of a group which its first words name, and the words that are left."""
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def click_command(shown: Documented) -> tuple[click.Command, list[str]] | None:
    """What would run, and its arguments; None for a program that is not of click."""
    words = shown.words
    if shown.program == "witt":
        if words[1] == "--help":
            return cli.cli, words[1:]
        return _within(command_of(words[1]), words[2:])
    if "-m" not in words:
        return None
    module, *rest = words[words.index("-m") + 1 :]
    if module == "cli":
        return _within(command_of(rest[0]), rest[1:])
    if not module.startswith("benchmarks."):
        return None
    package = ROOT.joinpath(*module.split("."), "command.py")
    found = importlib.import_module(f"{module}.command" if package.exists() else module)
    return found.command, rest
