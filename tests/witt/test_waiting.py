"""What one who waits sees: a bar with the time left on a terminal, nothing elsewhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import witt
from witt.link.conditions import Link
from witt.link.per_image_optimisation import PerImageOptimisation
from witt.link.transmission import transmit
from witt.waiting import waiting

ROOT = Path(__file__).parents[2]
SCRIPT = """
import time
from witt.waiting import waiting
with waiting("Sending [b]", {total}) as advance:
    for _ in range(4):
        time.sleep(0.2)
        advance()
"""


def seen_on_a_terminal(total: int | None) -> str:
    """What a process writes to a terminal that is its stderr, without colours."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT.format(total=total)]
    done = subprocess.run(
        command, stderr=slave, stdout=subprocess.PIPE, env=environment, check=True
    )
    os.close(slave)
    assert done.stdout == b""
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(master)
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", written.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_shows_the_time_left() -> None:
    text = seen_on_a_terminal(4)
    assert "Sending [b]" in text
    assert re.search(r"75% 0:00:0\d left", text)
    assert re.search(r"0:00:0\d so far", seen_on_a_terminal(None))


def test_elsewhere_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("Sending", 2) as advance:
        advance(2)
    assert capfd.readouterr() == ("", "")


def test_a_transmission_tells_each_step_and_draw(weights: Path, picture: Path) -> None:
    """As many parts as `witt transmit` counts for a picture: its steps and its draws."""
    told: list[int] = []
    model, _ = witt.load_weights(weights)
    pixels = witt.read_image(picture).pixels
    steps = PerImageOptimisation(3, Link().module())

    def advance(count: int = 1) -> None:
        told.append(count)

    transmit(pixels, model, repeats=2, optimisation=steps, advance=advance)
    assert told == [1] * 5
