"""What the C library does with memory that was freed, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Touched, freed and touched again: how many of the pages are new.
SCRIPT = """
import ctypes, resource, sys
sys.path.insert(0, {root!r})
if {keeps}:
    from witt.memory import keep_freed_memory
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def pages(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages(2**24), pages(2**24), pages(2**26), pages(2**26))
"""
# Every other block of 2 MiB is freed: pages that the process holds before and after.
RELEASED = """
from witt.memory import release_freed_memory
def resident():
    return int(open("/proc/self/statm").read().split()[1])
before = resident()
blocks = [libc.malloc(2**21) for _ in range(60)]
for block in blocks:
    ctypes.memset(block, 1, 2**21)
for block in blocks[::2]:
    libc.free(block)
kept = resident() - before
release_freed_memory()
half = 30 * 2**21 // resource.getpagesize()
print(kept - half, resident() - before - half, half)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for glibc")
@pytest.mark.parametrize("keeps", [False, True])
def test_pages_are_new_once(keeps: bool) -> None:
    script = SCRIPT.format(root=str(ROOT), keeps=keeps)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, large, again = map(int, done.stdout.split())
    assert first > 4_000
    assert second < 100 if keeps else second > 4_000
    assert large > 16_000
    assert again > 16_000  # larger than `LARGE`


def test_the_command_keeps_it() -> None:
    """Before a command's own work, and not where the package is only imported."""
    script = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import witt.memory as m\ncalls = []\nm.keep_freed_memory = lambda: calls.append(1)\n"
        "import benchmarks, channels, cli\nassert not calls\n"
        "cli.cli(['info', '--help'], standalone_mode=False)\nassert calls == [1]"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="for glibc")
def test_what_was_kept_is_released() -> None:
    """Freed blocks between blocks that stay: the pages go back, and come anew."""
    script = SCRIPT.format(root=str(ROOT), keeps=True).rpartition("print")[0] + RELEASED
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    kept, released, whole = map(int, done.stdout.split())
    assert kept > 0.9 * whole
    assert released < 0.2 * whole
