"""What the commands print."""

import math

import pytest
from rich.console import Console

from witt.report import number, plain, some, table


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.005, "1.00"), (-0.004, "0.00"), (-0.0, "0.00"), (-0.006, "-0.01"), (math.nan, "–")],
)
def test_number(value: float, expected: str) -> None:
    assert number(value) == expected


def test_titles_are_text() -> None:
    """Weights may be called what rich takes for markup, or have a name that is no UTF-8."""
    screen = Console(width=60, record=True)
    screen.print(table("a[b][/red]\udcff.safetensors", "x" * 40))
    assert "a[b][/red]?.safetensors" in screen.export_text()
    assert plain("a\udcffb").plain == "a?b"


def test_some_names() -> None:
    assert some(["a", "b", "a"]) == "a, b"
    assert some("abcdea") == "a, b, c and 2 more"
