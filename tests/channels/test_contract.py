"""What holds for every channel: shapes, precision, injection, seeds, gradients, refusals."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import channels

CHANNELS = [
    channels.AWGN(),
    channels.Rayleigh(),
    channels.Rayleigh(coherence=3),
    channels.Rayleigh(coherence=None),
    channels.Rician(),
    channels.Rician(k_factor_db=0.0, coherence=4),
    channels.Rician(k_factor_db=9.0, coherence=None),
    channels.Erasure(p=0.3, length=4),
]
every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 5, dtype: torch.dtype = torch.complex128) -> Tensor:
    return channels.complex_normal(shape, dtype=dtype, generator=seeded(seed))


@every_channel
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("per_image", [False, True])
def test_shapes_and_precision(
    channel: channels.Channel, dtype: torch.dtype, per_image: bool
) -> None:
    x = normal(3, 10, dtype=dtype)
    # Whatever the precision of the SNR, the symbols set that of the result.
    snr_db = torch.tensor([1.0, 7.0, 13.0], dtype=torch.float64) if per_image else 7.0
    y, h, noise_var = channel(x, snr_db, generator=seeded())
    assert (y.shape, y.dtype) == (x.shape, dtype)
    assert h.dtype == dtype
    assert torch.broadcast_shapes(h.shape, y.shape) == y.shape
    assert (noise_var.shape, noise_var.dtype) == ((3, 1), x.real.dtype)


@every_channel
def test_received_is_gain_times_sent_plus_scaled_noise(channel: channels.Channel) -> None:
    x, noise = normal(2, 10, seed=1), normal(2, 10, seed=2)
    y, h, noise_var = channel(x, 4.0, noise=noise, generator=seeded())
    torch.testing.assert_close(y, h * x + 10 ** (-4.0 / 20) * noise, rtol=1e-12, atol=0)
    torch.testing.assert_close(noise_var, torch.full((2, 1), 10**-0.4, dtype=torch.float64))
    assert torch.equal(h, channel.sample_gain(2, 10, dtype=torch.complex128, generator=seeded()))


@every_channel
def test_nothing_crosses_the_images(channel: channels.Channel) -> None:
    x, h, noise = normal(4, 12, seed=1), normal(4, 12, seed=2), normal(4, 12, seed=3)
    snr_db = torch.tensor([0.0, 3.0, 9.0, math.inf])
    whole = channel(x, snr_db, h=h, noise=noise)
    halves = [
        channel(x[part], snr_db[part], h=h[part], noise=noise[part])
        for part in (slice(0, 2), slice(2, 4))
    ]
    for field in channels.ChannelOutput._fields:
        joined = torch.cat([getattr(half, field) for half in halves])
        assert torch.equal(getattr(whole, field), joined)


@every_channel
def test_snr_of_an_image_equals_a_call_of_its_own(channel: channels.Channel) -> None:
    x, h, noise = normal(3, 12, seed=1), normal(3, 1, seed=2), normal(3, 12, seed=3)
    levels = [-2.0, 6.5, 20.0]
    together = channel(x, torch.tensor(levels, dtype=torch.float64), h=h, noise=noise)
    for k, level in enumerate(levels):
        one = slice(k, k + 1)
        alone = channel(x[one], level, h=h[one], noise=noise[one])
        torch.testing.assert_close(together.y[one], alone.y, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(together.noise_var[one], alone.noise_var, rtol=1e-12, atol=0)


@every_channel
def test_a_seed_repeats_and_another_differs(channel: channels.Channel) -> None:
    x = normal(2, 20)
    first, again, other = (channel(x, 3.0, generator=seeded(seed)) for seed in (7, 7, 8))
    assert torch.equal(first.y, again.y)
    assert torch.equal(first.h, again.h)
    assert (first.y != other.y).all()
    assert (first.y[0] - first.h[0] * x[0] != first.y[1] - first.h[1] * x[1]).all()


@every_channel
def test_a_generator_leaves_the_global_state_alone(channel: channels.Channel) -> None:
    before = torch.get_rng_state()
    channel(normal(2, 20), 3.0, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)


@every_channel
def test_a_cpu_generator_serves_another_device(channel: channels.Channel) -> None:
    x = torch.empty((2, 8), dtype=torch.complex64, device="meta")
    for snr_db in (3.0, torch.tensor([3.0, 5.0])):
        generator = seeded()
        outcome = channel(x, snr_db, generator=generator)
        assert {t.device.type for t in outcome} == {"meta"}
        # The noise was drawn on the generator's device, so its state moved on.
        assert not torch.equal(generator.get_state(), seeded().get_state())


@every_channel
def test_infinite_snr_adds_nothing(channel: channels.Channel) -> None:
    x = normal(2, 9)
    snr_db = torch.full((2,), math.inf, requires_grad=True)
    for level in (math.inf, snr_db):
        y, h, noise_var = channel(x, level, generator=seeded())
        assert torch.equal(y, h * x)
        assert torch.equal(noise_var, torch.zeros(2, 1, dtype=torch.float64))
    y.abs().sum().backward()
    assert snr_db.grad is not None
    assert torch.isfinite(snr_db.grad).all()


@every_channel
def test_gradients_with_injected_randomness(channel: channels.Channel) -> None:
    x, h, noise = (normal(2, 4, seed=s).requires_grad_() for s in (1, 2, 3))
    snr_db = torch.tensor([2.0, 11.0], dtype=torch.float64, requires_grad=True)

    def send(x: Tensor, snr_db: Tensor, h: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        return tuple(channel(x, snr_db, h=h, noise=noise))

    assert torch.autograd.gradcheck(send, (x, snr_db, h, noise))


@every_channel
def test_gradients_with_drawn_randomness(channel: channels.Channel) -> None:
    x = normal(2, 7).requires_grad_()
    snr_db = torch.tensor([2.0, 11.0], dtype=torch.float64, requires_grad=True)

    def send(x: Tensor, snr_db: Tensor) -> tuple[Tensor, ...]:
        y, _, noise_var = channel(x, snr_db, generator=seeded(4))
        return y, noise_var

    assert torch.autograd.gradcheck(send, (x, snr_db))


def test_injected_gain_broadcasts() -> None:
    x, noise = normal(2, 6, seed=1), normal(2, 6, seed=2)
    for h in (torch.tensor(0.5), torch.rand(6, generator=seeded()), normal(2, 1), normal(1, 6)):
        y, used, _ = channels.Rayleigh()(x, math.inf, h=h, noise=noise)
        torch.testing.assert_close(y, x * h.to(x.dtype))
        torch.testing.assert_close(used.expand(2, 6), h.to(x.dtype).expand(2, 6))


@pytest.mark.parametrize(
    ("snr_db", "says"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (-101.0, "-101"),
        ("10", "'10'"),
        (None, "None"),
        (torch.tensor([1.0, math.nan]), "nan"),
        (torch.tensor([1.0, -math.inf]), "-inf"),
        (torch.tensor([1.0, 2.0, 3.0]), r"\(3,\)"),
        (torch.ones(2, 1), r"\(2, 1\)"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
    ],
)
def test_bad_snr_is_refused(snr_db: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"snr_db must.*{says}"):
        channels.AWGN()(normal(2, 4), snr_db)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.zeros(2, 4), "float32"),
        (torch.zeros(4, dtype=torch.complex64), r"\(4,\)"),
        (torch.zeros(1, 2, 4, dtype=torch.complex64), r"\(1, 2, 4\)"),
        (torch.zeros(2, 0, dtype=torch.complex64), r"\(2, 0\)"),
    ],
)
def test_bad_symbols_are_refused(x: Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=f"symbols must be.*{says}"):
        channels.Rayleigh()(x, 10.0)


@pytest.mark.parametrize(
    ("injected", "says"),
    [
        ({"h": normal(3, 1)}, r"h must.*\(3, 1\)"),
        ({"h": normal(2, 5)}, r"h must.*\(2, 5\)"),
        ({"h": normal(1, 2, 4)}, r"h must.*\(1, 2, 4\)"),
        ({"h": torch.ones(2, 4, dtype=torch.int64)}, "h must.*int64"),
        ({"noise": normal(1, 4)}, r"noise must.*\(1, 4\)"),
        ({"noise": torch.zeros(2, 4)}, "noise must.*float32"),
    ],
)
def test_injected_values_that_do_not_fit_are_refused(
    injected: dict[str, Tensor], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        channels.Rayleigh()(normal(2, 4), 10.0, **injected)


@pytest.mark.parametrize("coherence", [0, -1, 1.5, True, "4"])
def test_bad_coherence_is_refused(coherence: Any) -> None:
    with pytest.raises(ValueError, match=f"coherence must be.*{coherence}"):
        channels.Rayleigh(coherence)


@pytest.mark.parametrize("k_factor_db", [math.nan, math.inf, -math.inf, 101.0])
def test_bad_k_factor_is_refused(k_factor_db: float) -> None:
    with pytest.raises(ValueError, match=f"k_factor_db must be.*{k_factor_db}"):
        channels.Rician(k_factor_db)


def test_complex_normal_refuses_a_real_dtype() -> None:
    with pytest.raises(ValueError, match="float32"):
        channels.complex_normal((2, 2), dtype=torch.float32)


def test_public_names_are_there() -> None:
    assert sorted(channels.__all__) == list(channels.__all__)
    assert all(hasattr(channels, name) for name in channels.__all__)
