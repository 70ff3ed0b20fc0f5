"""A model without values, for its shapes and its cost: on PyTorch's meta device, in no time."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from witt.codecs.config import ModelConfig
from witt.codecs.model import WITT


class _NoFilling(TorchFunctionMode):
    """Leaves out operations in place: to fill weights that have no values takes seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def meta_model(config: ModelConfig) -> WITT:
    """The model on the meta device, in evaluation mode; nothing is computed with it."""
    with torch.device("meta"), _NoFilling():
        return WITT(config).eval()
