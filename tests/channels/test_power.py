"""Per-image power normalisation."""

import math

import pytest
import torch
from torch import Tensor

import channels


def normal(*shape: int, seed: int = 5, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return channels.complex_normal(shape, dtype=dtype, generator=generator)


def masked(batch: int, n: int, uses: Tensor) -> Tensor:
    return normal(batch, n) * (torch.arange(n) < uses.unsqueeze(1))


def mean_power(x: Tensor) -> Tensor:
    return x.abs().square().mean(dim=1)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_mean_power_of_each_image_is_one(dtype: torch.dtype) -> None:
    levels = torch.tensor([[1e-25], [0.3], [1.0], [1e25]])  # squares that leave float32 too
    x = normal(4, 500, dtype=dtype) * levels
    out, scale = channels.normalise_power(x)
    assert (out.dtype, scale.dtype, scale.shape) == (dtype, x.real.dtype, (4, 1))
    torch.testing.assert_close(mean_power(out), torch.ones(4, dtype=x.real.dtype))
    torch.testing.assert_close(out / scale, x)
    assert (scale > 0).all()


def test_power_is_counted_over_the_symbols_that_are_sent() -> None:
    uses = torch.tensor([3, 8, 20])
    x = masked(3, 20, uses)
    out, scale = channels.normalise_power(x, uses)
    torch.testing.assert_close(out.abs().square().sum(dim=1), uses.double())
    assert (out[0, 3:] == 0).all()
    # The image alone, without the symbols that are not sent, is the same.
    alone = channels.normalise_power(x[:1, :3])
    torch.testing.assert_close(alone.x, out[:1, :3])
    torch.testing.assert_close(alone.scale, scale[:1])


def test_nothing_crosses_the_images() -> None:
    a, b = normal(2, 30, seed=1), 100 * normal(1, 30, seed=2)
    whole = channels.normalise_power(torch.cat((a, b)))
    for field in channels.Normalised._fields:
        parts = [getattr(channels.normalise_power(part), field) for part in (a, b)]
        assert torch.equal(getattr(whole, field), torch.cat(parts))


def test_gradients() -> None:
    uses = torch.tensor([2, 4, 5])
    x = normal(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(channels.normalise_power(x)), (x,))

    def sent(x: Tensor) -> tuple[Tensor, ...]:
        mask = torch.arange(5) < uses.unsqueeze(1)
        return tuple(channels.normalise_power(x * mask, uses))

    assert torch.autograd.gradcheck(sent, (x,))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_an_image_of_zeros_stays_finite_and_alone(dtype: torch.dtype) -> None:
    x = normal(2, 9, dtype=dtype)
    x[0] = 0
    x.requires_grad_()
    out, scale = channels.normalise_power(x)
    assert (out[0] == 0).all()
    assert scale[0].item() == pytest.approx(3.0)  # sqrt(uses)
    torch.testing.assert_close(mean_power(out)[1], torch.tensor(1.0, dtype=x.real.dtype))
    (out.real.sum() + scale.sum()).backward()
    assert x.grad is not None
    assert torch.isfinite(torch.view_as_real(x.grad)).all()
    assert (x.grad[0] == 3).all()  # the scale of an empty image is a constant


@pytest.mark.parametrize(
    ("uses", "says"),
    [
        (torch.tensor([4]), r"\(1,\)"),
        (torch.tensor([[4], [4]]), r"\(2, 1\)"),
        (torch.tensor([0, 4]), r"\[0, 4\]"),
        (torch.tensor([4, 6]), r"\[4, 6\]"),
        (torch.tensor([4j, 4j]), "complex64"),
    ],
)
def test_bad_uses_are_refused(uses: Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=f"uses must be.*{says}"):
        channels.normalise_power(normal(2, 5), uses)


def test_bad_symbols_are_refused() -> None:
    with pytest.raises(ValueError, match=r"symbols must be.*float32"):
        channels.normalise_power(torch.ones(2, 5))


def test_papr_of_constellations_and_waves() -> None:
    """16-QAM has 9 / 5, a constant envelope 1, and K subcarriers in phase K."""
    levels = torch.tensor([-3.0, -1.0, 1.0, 3.0])
    points = torch.complex(levels.repeat(4), levels.repeat_interleave(4))
    wave = torch.exp(1j * torch.arange(16.0))
    found = channels.papr_db(torch.stack((points, wave)))
    assert found.tolist() == pytest.approx([10 * math.log10(9 / 5), 0], abs=1e-4)
    numbers = channels.Numerology(64, 48, 9)
    ones = torch.ones(1, 100, dtype=torch.complex128)
    peaks = channels.ofdm_papr_db(ones, numbers)
    assert peaks.shape == (1, 2)
    assert peaks.flatten().tolist() == pytest.approx([10 * math.log10(48)] * 2)
    assert channels.ofdm_papr_db(ones[:, :6], numbers).item() == pytest.approx(10 * math.log10(6))


def test_papr_of_ofdm_is_that_of_gaussian_samples() -> None:
    """P(PAPR > g) = 1 - (1 - exp(-g))^(a K), a = 2.8 for 4 times oversampling (van Nee)."""
    generator = torch.Generator().manual_seed(0)
    x = channels.complex_normal((1, 624 * 2000), generator=generator)
    found = channels.ofdm_papr_db(x)[0]
    for level_db in (9.0, 10.0):
        expected = 1 - (1 - math.exp(-(10 ** (level_db / 10)))) ** (2.8 * 624)
        share = (found > level_db).double().mean().item()
        assert share == pytest.approx(expected, abs=0.04)
