"""Where results come from: the command, the commit and the machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from witt.link.profiles import OURS
from witt.report import version


def run_record(**more: Any) -> dict[str, Any]:
    """Plain values that say how a result was made, for its file."""
    return {
        "command": shlex.join(["witt", *sys.argv[1:]]),
        "version": version(),
        "commit": commit(),
        "profile": OURS.name,  # a sweep's columns have the published metrics beside ours
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        **more,
    }


def commit() -> str | None:
    """Commit of the source, "-dirty" behind it where files were changed; None without git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # else a repository around an installed package would answer
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    """Its name: the standard library has none on Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
