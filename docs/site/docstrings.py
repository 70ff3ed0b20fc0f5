"""From docstrings as the house writes them to what Sphinx reads.

Three things differ: an indented block is code or a drawing, and so is a paragraph of a module that
is Python; the fields of a tuple stand below its first line, without a heading; and | is the sign of
a magnitude.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Source|Yields):$")
FIELDS = re.compile(r"[a-z]\w*(, \w+)*: \S")


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring, in their place."""
    told = {"class": _with_attributes, "module": _with_code}.get(what, list)(lines)
    lines[:] = _with_blocks(told)


def _with_code(lines: list[str]) -> list[str]:
    """Paragraphs that are Python, indented: Python takes that away where all are."""
    paragraphs = "\n".join(lines).split("\n\n")
    told = (textwrap.indent(text, "    ") if _is_python(text) else text for text in paragraphs)
    return "\n\n".join(told).split("\n")


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except SyntaxError:
        return False


def _with_attributes(lines: list[str]) -> list[str]:
    """`name: text` below the first line, and what goes on indented, as a section of its own."""
    result: list[str] = []
    within = heading = False
    for line in lines:
        if SECTION.match(line):
            heading = True
        if not heading and FIELDS.match(line):
            if not within:
                result += ["", "Attributes:"]
            within = True
        elif not line.startswith(" "):
            if within:
                result.append("")
            within = False
        result.append(f"    {line}" if within else line)
    return result


def _with_blocks(lines: list[str]) -> list[str]:
    """Indented blocks as they are, and | as itself in the text around them."""
    result: list[str] = []
    section = block = False
    for line in lines:
        if line and not line.startswith(" "):
            section, block = bool(SECTION.match(line)), False
        if line.startswith(" ") and not section and not block and result and not result[-1]:
            result += ["::", ""]
            block = True
        result.append(line if block else line.replace("|", "\\|"))
    return result
