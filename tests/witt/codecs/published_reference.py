"""The published networks, written plainly from their equations, on a state dict of their names.

Nothing of `witt` or timm is used: windows are lists of places, attention and softmax are spelt
out, and two tokens of a shifted window see each other where neither or both of them came around
the edge of the map. Slow, and meant to be.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

State = dict[str, Tensor]


class Sizes(NamedTuple):
    """What the published code is configured with."""

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    channels: int


# The variants of SwinJSCC, as that code calls them.
NEITHER, SNR, RATE, BOTH = "w/o_SAandRA", "w/_SA", "w/_RA", "w/_SAandRA"
VARIANTS = (NEITHER, SNR, RATE, BOTH)
WITH_RATE = (RATE, BOTH)
BASE = Sizes((128, 192, 256, 320), (2, 2, 6, 2), (4, 6, 8, 10), 8, 96)
CIFAR = Sizes((128, 256), (2, 4), (4, 8), 2, 32)


def shapes(sizes: Sizes, variant: str = SNR) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters, as the published code registers them."""
    dims, last = sizes.dims, len(sizes.dims) - 1
    found: dict[str, tuple[int, ...]] = {}

    def linear(name: str, into: int, out: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = (out, into)
        if bias:
            found[f"{name}.bias"] = (out,)

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (width,)

    def blocks(name: str, width: int, depth: int, heads: int) -> None:
        for j in range(depth):
            block = f"{name}.blocks.{j}"
            norm(f"{block}.norm1", width)
            table = ((2 * sizes.window - 1) ** 2, heads)
            found[f"{block}.attn.relative_position_bias_table"] = table
            linear(f"{block}.attn.qkv", width, 3 * width)
            linear(f"{block}.attn.proj", width, width)
            norm(f"{block}.norm2", width)
            linear(f"{block}.mlp.fc1", width, 4 * width)
            linear(f"{block}.mlp.fc2", 4 * width, width)

    def modulation(end: str, number: str = "") -> None:
        width = dims[-1]
        hidden = int(1.5 * width)
        for k in range(7):
            for place, into in ((0, 1), (2, hidden), (4, hidden)):
                linear(f"{end}.bm_list{number}.{k}.fc.{place}", into, hidden)
        for k in range(8):
            into, out = hidden if k else width, width if k == 7 else hidden
            linear(f"{end}.sm_list{number}.{k}", into, out)

    found["encoder.patch_embed.proj.weight"] = (dims[0], 3, 2, 2)
    found["encoder.patch_embed.proj.bias"] = (dims[0],)
    for i, (width, depth, heads) in enumerate(zip(dims, sizes.depths, sizes.heads, strict=True)):
        if i:
            norm(f"encoder.layers.{i}.downsample.norm", 4 * dims[i - 1])
            linear(f"encoder.layers.{i}.downsample.reduction", 4 * dims[i - 1], width, bias=False)
        blocks(f"encoder.layers.{i}", width, depth, heads)
        blocks(f"decoder.layers.{last - i}", width, depth, heads)
        norm(f"decoder.layers.{last - i}.upsample.norm", width)
        after = 4 * (dims[i - 1] if i else 3)
        linear(f"decoder.layers.{last - i}.upsample.increment", width, after, bias=False)
    norm("encoder.norm", dims[-1])
    if variant not in WITH_RATE:
        linear("encoder.head_list", dims[-1], sizes.channels)
        linear("decoder.head_list", sizes.channels, dims[-1])
    modulation("encoder")
    if variant == BOTH:
        modulation("encoder", "1")
    if variant != RATE:
        modulation("decoder")
    return found


def extras(sizes: Sizes, side: int) -> State:
    """What a file holds beside its parameters, when pictures of `side` pixels were seen last."""
    n = sizes.window**2
    found: State = {"distortion_loss.dist.window": torch.rand(3, 1, 1, 11)}
    found["distortion_loss.dist.weights"] = torch.rand(4)
    last = len(sizes.dims) - 1
    for i, depth in enumerate(sizes.depths):
        windows = (side // 2 ** (i + 1) // sizes.window) ** 2
        for j in range(depth):
            for place in (f"encoder.layers.{i}", f"decoder.layers.{last - i}"):
                block = f"{place}.blocks.{j}"
                found[f"{block}.attn.relative_position_index"] = torch.zeros(n, n, dtype=torch.long)
                if j % 2:
                    found[f"{block}.attn_mask"] = torch.zeros(windows, n, n)
    return found


def random_state(
    sizes: Sizes, seed: int = 0, dtype: torch.dtype = torch.float32, variant: str = SNR
) -> State:
    """Parameters at which features keep their size, and no term of an equation is without effect.

    The gates open about half way, biases and position biases are of the size of what they join.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(sizes, variant).items():
        noise = torch.randn(shape, generator=generator, dtype=torch.float32)
        if "norm" in name and name.endswith("weight"):
            value = 1 + 0.2 * noise
        elif name.endswith("bias_table"):
            value = noise
        elif len(shape) == 1:
            value = 0.2 * noise
        else:
            value = noise / math.sqrt(noise[0].numel())
        if name.endswith("fc.0.weight"):
            of_the_rate = variant in WITH_RATE and name.startswith("encoder.bm_list.")
            value = (0.01 if of_the_rate else 0.1) * noise  # of C, or of an SNR in dB
        state[name] = value.to(dtype)
    return state


def reconstruct(
    state: State, sizes: Sizes, image: Tensor, snr_db: float, *, modulation: bool = True
) -> Tensor:
    """The picture (B, 3, H, W) after encoder and decoder, with no noise between them."""
    return decode(
        state,
        sizes,
        encode(state, sizes, image, snr_db, modulation=modulation),
        snr_db,
        modulation=modulation,
    )


def encode(
    state: State, sizes: Sizes, image: Tensor, snr_db: float, *, modulation: bool = True
) -> Tensor:
    """Features (B, h, w, C), before the power is normalised."""
    x = _down(state, sizes, image)
    if modulation:
        x = x * _gates(state, "encoder", x, snr_db)
    return _linear(state, "encoder.head_list", x)


def encode_rate(
    state: State, sizes: Sizes, image: Tensor, snr_db: float, rate: int, variant: str
) -> tuple[Tensor, Tensor]:
    """Features (B, h, w, D) with 0 where they are not sent, and the mask of this shape."""
    x = _down(state, sizes, image)
    if variant == BOTH:
        x = x * _gates(state, "encoder", x, snr_db, "1")
    gates = _gates(state, "encoder", x, float(rate))
    mask = torch.zeros_like(x)
    for b, sums in enumerate(gates.double().flatten(1, 2).sum(dim=1).tolist()):
        for channel in sorted(range(len(sums)), key=lambda c: -sums[c])[:rate]:
            mask[b, :, :, channel] = 1
    return x * gates * mask, mask


def through(
    state: State,
    sizes: Sizes,
    image: Tensor,
    snr_db: float,
    rate: int,
    variant: str,
    noise: Tensor | None = None,
) -> Tensor:
    """The pictures (B, 3, H, W) after encoder, AWGN channel and decoder, of one power.

    Args:
        noise: (B, h, w, D) of half a unit of variance; None is none.
    """
    features, mask = encode_rate(state, sizes, image, snr_db, rate, variant)
    power = features.square().sum() / mask.sum()
    received = features / (2 * power).sqrt()  # two of them make a symbol
    if noise is not None:
        received = received + 10 ** (-snr_db / 20) * noise
    x = received * (2 * power).sqrt() * mask
    if variant == BOTH:
        x = x * _gates(state, "decoder", x, snr_db)
    return _up(state, sizes, x)


def _down(state: State, sizes: Sizes, image: Tensor) -> Tensor:
    """The stages of the encoder and their LayerNorm."""
    x = _patches(state, image)
    for i, depth in enumerate(sizes.depths):
        if i:
            order = ((0, 0), (1, 0), (0, 1), (1, 1))
            x = torch.cat([x[:, row::2, column::2] for row, column in order], dim=-1)
            x = _linear(
                state,
                f"encoder.layers.{i}.downsample.reduction",
                _norm(state, f"encoder.layers.{i}.downsample.norm", x),
            )
        x = _stage(state, sizes, f"encoder.layers.{i}", x, depth, sizes.heads[i])
    return _norm(state, "encoder.norm", x)


def decode(
    state: State, sizes: Sizes, features: Tensor, snr_db: float, *, modulation: bool = True
) -> Tensor:
    """The picture (B, 3, H, W) from features (B, h, w, C)."""
    x = _linear(state, "decoder.head_list", features)
    if modulation:
        x = x * _gates(state, "decoder", x, snr_db)
    return _up(state, sizes, x)


def _up(state: State, sizes: Sizes, x: Tensor) -> Tensor:
    """The stages of the decoder."""
    for i, (depth, heads) in enumerate(zip(sizes.depths[::-1], sizes.heads[::-1], strict=True)):
        place = f"decoder.layers.{i}"
        x = _stage(state, sizes, place, x, depth, heads)
        x = _linear(state, f"{place}.upsample.increment", _norm(state, f"{place}.upsample.norm", x))
        batch, height, width, wide = x.shape
        # Channel 4·c + 2·i + j is pixel (i, j) of the four of channel c.
        x = x.reshape(batch, height, width, wide // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
        x = x.reshape(batch, 2 * height, 2 * width, wide // 4)
    return x.permute(0, 3, 1, 2)


def _patches(state: State, image: Tensor) -> Tensor:
    weight, bias = (state[f"encoder.patch_embed.proj.{part}"] for part in ("weight", "bias"))
    corners = [image[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    patches = torch.stack(corners, dim=2).permute(0, 3, 4, 1, 2).flatten(3)
    return patches @ weight.reshape(len(weight), -1).T + bias


def _linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    spread = (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * state[f"{name}.weight"] + state[f"{name}.bias"]


def _stage(state: State, sizes: Sizes, place: str, x: Tensor, depth: int, heads: int) -> Tensor:
    for j in range(depth):
        block = f"{place}.blocks.{j}"
        shift = sizes.window // 2 if j % 2 else 0
        normed = _norm(state, f"{block}.norm1", x)
        x = x + _attention(state, f"{block}.attn", normed, heads, sizes.window, shift)
        hidden = _linear(state, f"{block}.mlp.fc1", _norm(state, f"{block}.norm2", x))
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + _linear(state, f"{block}.mlp.fc2", hidden)
    return x


def _attention(state: State, name: str, x: Tensor, heads: int, window: int, shift: int) -> Tensor:
    batch, height, width, dim = x.shape
    places, around = _windows(height, width, window, shift)
    tokens = x.reshape(batch, height * width, dim)[:, places]  # (B, windows, n, C)
    q, k, v = _linear(state, f"{name}.qkv", tokens).split(dim, dim=-1)
    each = dim // heads
    bias = state[f"{name}.relative_position_bias_table"][_relative(window)]  # (n, n, heads)
    apart = (around[:, :, None] != around[:, None, :]).to(x.dtype) * -100.0
    outputs = []
    for head in range(heads):
        part = slice(head * each, (head + 1) * each)
        logits = q[..., part] @ k[..., part].transpose(-1, -2) * each**-0.5
        logits = logits + bias[..., head] + apart
        weights = torch.exp(logits - logits.amax(dim=-1, keepdim=True))
        outputs.append(weights / weights.sum(dim=-1, keepdim=True) @ v[..., part])
    mixed = _linear(state, f"{name}.proj", torch.cat(outputs, dim=-1))
    result = torch.empty_like(x).reshape(batch, height * width, dim)
    result[:, places] = mixed
    return result.reshape(x.shape)


@cache
def _windows(height: int, width: int, window: int, shift: int) -> tuple[Tensor, Tensor]:
    """Places of the tokens of each window, (windows, n), and which edges they came around."""
    places, around = [], []
    for top in range(0, height, window):
        for left in range(0, width, window):
            rows = [top + shift + i for i in range(window)]
            columns = [left + shift + i for i in range(window)]
            places.append([r % height * width + c % width for r in rows for c in columns])
            around.append([2 * (r >= height) + (c >= width) for r in rows for c in columns])
    return torch.tensor(places), torch.tensor(around)


@cache
def _relative(window: int) -> Tensor:
    """Row of the position bias table for each pair of tokens of a window, (n, n)."""
    at: Sequence[tuple[int, int]] = [(r, c) for r in range(window) for c in range(window)]
    most = window - 1
    return torch.tensor(
        [[(r - s + most) * (2 * window - 1) + (c - d + most) for s, d in at] for r, c in at]
    )


def _gates(state: State, end: str, x: Tensor, told: float, number: str = "") -> Tensor:
    t = x
    for k in range(7):
        b, factor = x.new_tensor([told]), f"{end}.bm_list{number}.{k}.fc"
        b = _linear(state, f"{factor}.0", b).clamp_min(0)
        b = _linear(state, f"{factor}.2", b).clamp_min(0)
        b = 1 / (1 + torch.exp(-_linear(state, f"{factor}.4", b)))
        t = _linear(state, f"{end}.sm_list{number}.{k}", t) * b
    return 1 / (1 + torch.exp(-_linear(state, f"{end}.sm_list{number}.7", t)))
