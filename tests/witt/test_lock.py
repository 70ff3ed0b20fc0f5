"""Two writers of one output: the second is refused, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from witt.errors import InputError
from witt.lock import sole_writer

HOLD = """
import sys
from pathlib import Path
from witt.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_second_process_is_refused_until_the_first_ends(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "c.json" if kind == "file" else tmp_path
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="another witt process"), sole_writer(output):
            pass
        other.kill()  # a process that dies leaves no lock in the way
    with sole_writer(output):
        pass
    assert not list(tmp_path.iterdir())
