"""The decoder beside a linear path."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import witt
from witt.network import condition_vector
from witt.refiner import OUTPUT_SCALE, RefiningDecoder

CONFIG = replace(
    witt.PRESETS["witt_light"],
    dims=(8, 8),
    depths=(1, 1),
    heads=(2, 2),
    window=4,
    patch=2,
    channels=12,
    refiner_blocks=2,
    smooth_channels=2,
    cbr_range=None,
)


def decoder(**entries: object) -> RefiningDecoder:
    torch.manual_seed(0)
    return RefiningDecoder(replace(CONFIG, **entries)).double()


def received(height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, error, amplitude and condition of two pictures."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, height, width, 12, generator=generator, dtype=torch.float64)
    error = torch.rand(2, height, width, 6, generator=generator, dtype=torch.float64)
    amplitude = torch.tensor([0.5, 3.0], dtype=torch.float64)[:, None, None, None]
    snr_db = torch.tensor([1.0, 10.0], dtype=torch.float64)
    return features, error, amplitude, condition_vector(CONFIG, snr_db, snr_db.new_full((2,), 12))


def test_starts_as_the_linear_receiver() -> None:
    """An untrained network changes nothing."""
    ours = decoder()
    features, error, amplitude, condition = received(3, 5)
    linear = ours.linear(features, error.repeat_interleave(2, dim=-1), amplitude, condition)
    assert torch.equal(ours(features, error, amplitude, condition), linear + 0.5)


def test_adds_what_its_layers_say() -> None:
    """Against the same sum, written token by token with a loop over the patches."""
    ours = decoder()
    torch.nn.init.normal_(ours.out.weight)
    torch.nn.init.normal_(ours.out.bias)
    features, error, amplitude, condition = received(3, 5)
    base = ours.linear(features, error.repeat_interleave(2, dim=-1), amplitude, condition)
    sketch = ours.sketch(torch.nn.functional.pixel_unshuffle(base / amplitude, 2))
    x = sketch.permute(0, 2, 3, 1).clone()
    known = torch.cat((features, 1 - error), dim=-1)
    for row in range(6):
        for column in range(10):
            x[:, row, column] += ours.head(known[:, row // 2, column // 2])
    x = ours.blocks(ours.modnet(x, condition))
    detail = torch.nn.functional.pixel_shuffle(ours.out(x.permute(0, 3, 1, 2)), 2)
    expected = base + 0.5 + OUTPUT_SCALE * amplitude * detail
    torch.testing.assert_close(ours(features, error, amplitude, condition), expected)


@pytest.mark.parametrize("uses_csi", [False, True])
def test_looks_at_the_noise_beside_the_linear_path(uses_csi: bool) -> None:
    """The network sees the reliability of a symbol only where it `uses_csi`."""
    ours = decoder(uses_csi=uses_csi)
    torch.nn.init.normal_(ours.out.weight)
    features, error, amplitude, condition = received(2, 2)
    seen = []
    for e in (error, 1 - error):
        ours.linear.forward = lambda *_: torch.zeros(2, 3, 8, 8).double()  # type: ignore[method-assign]
        seen.append(ours(features, e, amplitude, condition))
    assert torch.equal(*seen) is not uses_csi
