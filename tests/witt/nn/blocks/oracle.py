"""Blocks written as loops over tokens, from the equations of their papers."""

import numpy as np
import numpy.typing as npt
from scipy.special import erf, softmax
from torch import nn

Array = npt.NDArray[np.float64]


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def layer_norm(x: Array, w: dict[str, Array], name: str, eps: float = 1e-5) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def mlp(x: Array, w: dict[str, Array], name: str) -> Array:
    hidden = linear(x, w, f"{name}.fc1")
    return linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, w, f"{name}.fc2")


def attend(q: Array, keys: list[Array], values: list[Array], logits: list[float]) -> Array:
    """One query of one head, with what is added to each logit."""
    scores = np.array([q @ k for k in keys]) / np.sqrt(len(q)) + np.array(logits)
    mixed: Array = softmax(scores) @ np.array(values)
    return mixed
