"""A network without values, for its shapes and its cost: on PyTorch's meta device, in no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

T = TypeVar("T", bound=nn.Module)


class _NoFilling(TorchFunctionMode):
    """Leaves out operations in place: to fill weights that have no values takes seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def without_values(make: Callable[[], T]) -> T:
    """What `make` makes, on the meta device, in evaluation mode; nothing is computed with it."""
    with torch.device("meta"), _NoFilling():
        return make().eval()
