"""The device to compute on, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from witt.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        InputError: unknown name, or this machine has no such device.
    """
    import torch

    if name not in DEVICES:
        raise InputError(f"unknown device {name!r}: choose from {', '.join(DEVICES)}")
    there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    # float32 is float32 on every device; where speed counts, the networks compute in bfloat16.
    with warnings.catch_warnings():
        # PyTorch 2.9 says that another way to say this will come.
        warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
        torch.backends.cudnn.allow_tf32 = False
    if name == "auto":
        return torch.device("cuda" if there["cuda"]() else "cpu")
    if not there[name]():
        raise InputError(f"device {name}: PyTorch finds none on this machine; use auto or cpu")
    return torch.device(name)
