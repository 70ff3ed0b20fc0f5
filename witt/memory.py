"""Memory that was freed, kept for what is needed next."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Larger ones still come and go: kept, they would leave gaps, and a picture of 3840×2160 pixels take
# a third more memory. It is the most that glibc takes.
LARGE = 2**25


def keep_freed_memory() -> None:
    """Have the C library keep what a process frees, until it ends.

    It gives large blocks back to the system, and asks for them anew a moment later. New pages are
    filled with zeros and mapped one by one: on a virtual machine that can take longer than to
    compute what goes there. For a process that is the program's own; a library should not.
    Elsewhere than with glibc nothing is changed.
    """
    mallopt = _of_the_c_library("mallopt")
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, -1)


def release_freed_memory() -> None:
    """Give back what `keep_freed_memory` has kept.

    For a process that runs for hours: what it keeps of pictures lies between what it computes with
    for a moment, the gaps fit nothing that is asked for later, and they grow in number.
    """
    trim = _of_the_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_the_c_library(name: str) -> Any:
    """A function of glibc; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
