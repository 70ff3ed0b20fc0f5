"""The published network written down as its equations are, to compare with.

Softmax attention with all its intermediate tensors, windows cut out of whole maps. It keeps what
the published code keeps, and more: masks are made when the size changes, position biases once
where nothing learns. Written from the paper (arXiv 2211.00937) and from Swin's (arXiv
2103.14030). Parameters have the names that `witt.WITT` gives them, so one state dict fits both.
The power is per image, so that outputs can be held against ours; so can gradients, but with
`detached` ModNets, which the published code has and which are less work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from witt.codecs.witt import WITTConfig


def windows_of(x: Tensor, side: int) -> Tensor:
    """``(B, H, W, C)`` to ``(B·windows, side², C)``."""
    batch, height, width, dim = x.shape
    x = x.view(batch, height // side, side, width // side, side, dim)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, side**2, dim)


def map_of(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """Inverse of `windows_of`."""
    dim = windows.shape[-1]
    x = windows.view(-1, height // side, width // side, side, side, dim)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, dim)


class Attention(nn.Module):
    """Attention in windows, with a bias for each relative position."""

    index: Tensor

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        place = torch.stack(torch.meshgrid([torch.arange(side)] * 2, indexing="ij")).flatten(1)
        apart = place[:, :, None] - place[:, None] + side - 1
        index = apart[0] * (2 * side - 1) + apart[1]
        self.register_buffer("index", index, persistent=False)
        self.bias: Tensor | None = None  # where nothing learns

    def _bias(self, tokens: int) -> Tensor:
        """(heads, N, N) of the relative positions."""
        if self.bias is not None and not torch.is_grad_enabled():
            return self.bias
        bias = self.relative_position_bias_table[self.index.flatten()]
        bias = bias.view(tokens, tokens, -1).permute(2, 0, 1).contiguous()
        self.bias = None if torch.is_grad_enabled() else bias
        return bias

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`x` (n, N, C), `mask` (windows of a picture, N, N) or None."""
        n, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        logits = (q * (dim // self.heads) ** -0.5) @ k.transpose(-2, -1)
        logits = logits + self._bias(tokens)
        if mask is not None:
            logits = logits.view(-1, len(mask), self.heads, tokens, tokens) + mask[:, None]
            logits = logits.view(-1, self.heads, tokens, tokens)
        x = torch.softmax(logits, dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, tokens, dim))


class Mlp(nn.Module):
    """Linear, GELU, Linear; four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """A Swin block on maps whose sides are multiples of the window, others padded."""

    def __init__(self, dim: int, heads: int, side: int, shift: int) -> None:
        super().__init__()
        self.side, self.shift = side, shift
        self.norm1, self.attn = nn.LayerNorm(dim), Attention(dim, heads, side)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim)
        self.mask: Tensor | None = None
        self.size: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        if height % self.side or width % self.side:  # without, it would be a copy
            y = F.pad(y, (0, 0, 0, -width % self.side, 0, -height % self.side))
        padded = (y.shape[1], y.shape[2])
        if self.shift and padded != self.size:
            self.mask, self.size = self._mask(y), padded
        y = map_of(self.attn(windows_of(y, self.side), self.mask), self.side, *padded)
        y = y[:, :height, :width]
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))

    def _mask(self, y: Tensor) -> Tensor:
        regions = y.new_zeros(1, y.shape[1], y.shape[2], 1)
        parts = (slice(-self.side), slice(-self.side, -self.shift), slice(-self.shift, None))
        for i, rows in enumerate(parts):
            for j, columns in enumerate(parts):
                regions[:, rows, columns] = 3 * i + j
        of_windows = windows_of(regions, self.side)
        return (of_windows != of_windows.transpose(1, 2)).to(y.dtype) * -100.0


class Merge(nn.Module):
    """Four neighbours to one token: LayerNorm, Linear without bias."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class Unmerge(nn.Module):
    """One token to four: LayerNorm, Linear without bias, pixel shuffle."""

    def __init__(self, dim: int, out_dim: int, factor: int) -> None:
        super().__init__()
        self.factor, self.norm = factor, nn.LayerNorm(dim)
        self.increment = nn.Linear(dim, out_dim * factor**2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.increment(self.norm(x)).permute(0, 3, 1, 2)
        return F.pixel_shuffle(x, self.factor).permute(0, 2, 3, 1)


class Stage(nn.Module):
    """Merge or nothing, Swin blocks, un-merge or nothing."""

    def __init__(
        self, dim: int, depth: int, heads: int, side: int, before: nn.Module, after: nn.Module
    ) -> None:
        super().__init__()
        self.downsample, self.upsample = before, after
        self.blocks = nn.Sequential(
            *(Block(dim, heads, side, side // 2 if i % 2 else 0) for i in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(self.blocks(self.downsample(x)))


class ModNet(nn.Module):
    """Gates on the features that follow the SNR; `detached` from these as in the published code."""

    detached = False

    def __init__(self, dim: int, layers: int, ratio: float) -> None:
        super().__init__()
        hidden = int(dim * ratio)
        ends = [(dim, hidden), *[(hidden, hidden)] * (layers - 1), (hidden, dim)]
        self.sm_list = nn.ModuleList(nn.Linear(*end) for end in ends)
        self.bm_list = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
                *(nn.Linear(hidden, hidden), nn.Sigmoid()),
            )
            for _ in range(layers)
        )

    def forward(self, x: Tensor, snr_db: Tensor) -> Tensor:
        """`x` (B, H, W, C), `snr_db` (B,)."""
        batch, height, width, _ = x.shape
        t = x.detach() if self.detached else x
        for linear, gate in zip(list(self.sm_list)[:-1], self.bm_list, strict=True):
            gates = gate(snr_db[:, None])[:, None, None].expand(batch, height, width, -1)
            t = linear(t) * gates
        return x * torch.sigmoid(self.sm_list[-1](t))


class PatchEmbed(nn.Module):
    """Strided convolution."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).permute(0, 2, 3, 1).contiguous()


class Half(nn.Module):
    """Encoder or decoder."""

    def __init__(self, config: WITTConfig, encodes: bool) -> None:
        super().__init__()
        order = 1 if encodes else -1
        dims, last = config.dims[::order], len(config.dims) - 1
        stages = []
        for i, (dim, depth, heads) in enumerate(
            zip(dims, config.depths[::order], config.heads[::order], strict=True)
        ):
            before = Merge(dims[i - 1], dim) if encodes and i else nn.Identity()
            after: nn.Module = nn.Identity()
            if not encodes:
                after = Unmerge(dim, 3, config.patch) if i == last else Unmerge(dim, dims[i + 1], 2)
            stages.append(Stage(dim, depth, heads, config.window, before, after))
        self.layers = nn.ModuleList(stages)
        self.modnet = ModNet(config.dims[-1], config.modnet_layers, config.modnet_ratio)
        taken, given = (config.dims[-1], config.channels)[::order]
        self.head = nn.Linear(taken, given)
        if encodes:
            self.patch_embed = PatchEmbed(config.patch, config.dims[0])
            self.norm = nn.LayerNorm(config.dims[-1])


class PlainWITT(nn.Module):
    """The whole link over AWGN; takes the state dict of a `witt.WITT` of a published preset."""

    def __init__(self, config: WITTConfig) -> None:
        super().__init__()
        self.stride = config.stride
        self.encoder, self.decoder = Half(config, True), Half(config, False)

    def forward(self, image: Tensor, snr_db: Tensor, noise: Tensor) -> Tensor:
        """`image` (B, 3, H, W), `snr_db` (B,), `noise` (B, N) complex CN(0, 1), to an image."""
        size = image.shape[-2:]
        margin = (0, -size[1] % self.stride, 0, -size[0] % self.stride)
        if any(margin):
            image = F.pad(image, margin, mode="replicate")
        x = self.encoder.patch_embed(image)
        for stage in self.encoder.layers:
            x = stage(x)
        x = self.encoder.head(self.encoder.modnet(self.encoder.norm(x), snr_db))
        flat = x.flatten(1)
        flat = flat / flat.square().mean(1, keepdim=True).mul(2).sqrt()
        sigma = 10 ** (-snr_db[:, None] / 20)
        x = (flat + sigma * torch.view_as_real(noise).flatten(1)).view(x.shape)
        x = self.decoder.modnet(self.decoder.head(x), snr_db)
        for stage in self.decoder.layers:
            x = stage(x)
        return x.permute(0, 3, 1, 2)[:, :, : size[0], : size[1]]
