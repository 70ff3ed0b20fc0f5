"""Conditions are drawn as asked for, and `send` does what the model's own forward does."""

from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

import channels
import witt
from witt.codecs.presets import CONFIGS
from witt.codecs.witt import WITT
from witt.metrics.loss import loss_of, make_loss
from witt.nn.swin import SwinBlock
from witt.training.objective import Conditions, draw_conditions, draw_images, send

DRAWS = 4000


def tiny(name: str, **changes: Any) -> WITT:
    """The preset with as many stages, narrow ones, and all its abilities."""
    stages = len(CONFIGS[name].dims)
    sizes: dict[str, Any] = {
        "dims": (8, 12, 16, 16)[:stages],
        "depths": (1, 2, 2, 1)[:stages],
        "channels": 24,
    }
    if name.startswith("swinjscc"):
        sizes["dims"] = (8, 12, 16, 32)
    if name == "deepjscc":
        sizes["kernel"] = 3
    else:
        sizes |= {"heads": (1, 2, 2, 2)[:stages], "window": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return witt.create_model(name, **{**sizes, **changes})


def test_a_range_of_snrs_is_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    snr, _ = draw_conditions(DRAWS, (-2, 20), True, [6], generator)
    uniform = scipy.stats.uniform(loc=-2, scale=22)
    assert scipy.stats.kstest(snr.numpy(), uniform.cdf).pvalue > 6e-5  # 4 sigma


def test_lists_are_drawn_as_often_as_they_are_named() -> None:
    generator = torch.Generator().manual_seed(0)
    snr, k = draw_conditions(DRAWS, (1, 4, 13), False, [6, 12, 12, 24], generator)
    for values, share, of in ((snr, 1 / 3, (1, 4, 13)), (k, 1 / 4, (6, 24)), (k, 1 / 2, (12,))):
        sigma = (share * (1 - share) / DRAWS) ** 0.5
        for value in of:
            assert abs(float((values == value).float().mean()) - share) < 4 * sigma
    together = ((snr == 1) & (k == 12)).float().mean()
    assert abs(float(together) - 1 / 6) < 4 * (1 / 6 * 5 / 6 / DRAWS) ** 0.5


OVER = [channels.AWGN(), channels.Rayleigh(), channels.Rician()]


def test_an_image_has_its_own_draws() -> None:
    """Fixed by its number: whoever draws, and with which others."""
    settings = (6, OVER, (0, 20), True, [6, 12], 9)
    whole = draw_images(range(4, 10), *settings)
    parts = [draw_images(range(n, n + 2), *settings) for n in (4, 6, 8)]
    for name in whole._fields:
        value = getattr(whole, name)
        assert torch.equal(value, torch.cat([getattr(part, name) for part in parts])), name
    assert torch.equal(whole.h[[2, 5]], torch.ones(2, 6, dtype=torch.complex64))  # AWGN
    assert not torch.equal(whole.noise[0], whole.noise[3])
    other = draw_images(range(4, 10), *settings[:-1], 10)
    assert not torch.equal(whole.noise, other.noise)


def test_draws_of_images_are_independent() -> None:
    """Generators of neighbouring seeds: uniform SNRs, fair rates, white noise."""
    snr, k, h, noise = draw_images(range(DRAWS), 2, OVER[1:2], (-2, 20), True, [6, 12], 0)
    uniform = scipy.stats.uniform(loc=-2, scale=22)
    assert scipy.stats.kstest(snr.numpy(), uniform.cdf).pvalue > 6e-5  # 4 sigma
    assert abs(float((k == 6).float().mean()) - 0.5) < 4 * 0.5 / DRAWS**0.5
    for values in (h, noise):
        normal = scipy.stats.norm(scale=0.5**0.5)
        samples = torch.view_as_real(values).flatten().numpy()
        assert scipy.stats.kstest(samples, normal.cdf).pvalue > 6e-5
        neighbours = (values[1:] * values[:-1].conj()).mean()
        assert abs(complex(neighbours)) < 4 / (2 * DRAWS) ** 0.5
    assert abs(complex((h * noise.conj()).mean())) < 4 / (2 * DRAWS) ** 0.5
    assert abs(float(torch.corrcoef(torch.stack([snr, noise.real[:, 0]]))[0, 1])) < 4 / DRAWS**0.5


def test_bfloat16_is_of_the_networks_alone() -> None:
    """Close to float32, not equal; and the linear path beside the network stays exact."""
    model = tiny("witt_light", cbr_range=None).eval()
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    at = Conditions(torch.tensor([10.0, 20.0]), torch.tensor([24, 24]))
    h, noise = injected(model, image)
    for started in (True, False):  # the network adds nothing to the linear path at first
        with torch.no_grad():
            exact, rough = (
                send(model, image, at, OVER[:1], h=h, noise=noise, bf16=bf16)
                for bf16 in (False, True)
            )
        assert rough.dtype == torch.float32
        assert torch.equal(exact, rough) is started
        torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.05)
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(3)
            )


def injected(model: WITT, image: Tensor) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    size = (image.shape[2], image.shape[3])
    shape = (len(image), model.tokens(size) * model.config.channels // 2)
    gain = channels.base.complex_normal(shape, generator=generator)
    return gain, channels.base.complex_normal(shape, generator=generator)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("witt_light", {}),
        ("witt_light", {"sends_scale": False}),
        ("witt_base", {"rate_adaptive": True, "sends_scale": True}),
        ("witt_cifar", {}),
        ("witt_base", {"rate_adaptive": True}),
        ("deepjscc", {}),
        ("swinjscc_small", {}),
        ("swinjscc_small", {"sends_scale": False, "modulation": False}),
    ],
)
def test_each_image_goes_as_by_forward(name: str, changes: dict[str, Any]) -> None:
    """Each with its own SNR, rate and channel; noise of symbols that are not sent is unused."""
    model = tiny(name, cbr_range=None, **changes).eval()
    over = [channels.AWGN(), channels.Rayleigh(), channels.Rician()]
    image = torch.rand(4, 3, 32, 48, generator=torch.Generator().manual_seed(2))
    most = model.config.channels
    rates = [6, 10, most, 16] if model.config.rate_adaptive else [most] * 4
    at = Conditions(torch.tensor([0.0, 5.0, 10.0, 15.0]), torch.tensor(rates))
    h, noise = injected(model, image)
    h[2] = 1  # AWGN
    with torch.no_grad():
        together = send(model, image, at, over, first=1, h=h, noise=noise)
        for i, k in enumerate(rates):
            channel = over[(1 + i) % 3]
            cbr = k / (6 * model.config.stride**2) if model.config.rate_adaptive else None
            # Of a plain model the symbols of a token have their places whatever the rate.
            sent = slice(None) if isinstance(model, witt.ClassifiedCodec) else slice(k // 2)
            cut = [
                part[i].reshape(-1, max(rates) // 2)[:, sent].reshape(1, -1) for part in (h, noise)
            ]
            uses = model.tokens((32, 48)) * k // 2
            cut = [part[:, :uses] for part in cut]
            alone = model(
                image[i : i + 1], channel, float(at.snr_db[i]), cbr, h=cut[0], noise=cut[1]
            )
            # The header holds the power scale as a float16.
            rtol = 2e-3 if model.sends_scale else 1e-4
            torch.testing.assert_close(together[i : i + 1], alone.image, rtol=rtol, atol=rtol)


def test_images_take_the_channels_in_turn() -> None:
    """Also when a batch has fewer images than there are channels."""
    model = tiny("witt_cifar").eval()
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    at = Conditions(torch.tensor([10.0]), torch.tensor([24]))
    over = [channels.AWGN(), channels.Rayleigh()]
    h, noise = injected(model, image)
    with torch.no_grad():
        first, second = (send(model, image, at, over, first=n, h=h, noise=noise) for n in (0, 1))
        plain = send(model, image, at, over[:1], noise=noise, h=h)
        faded = send(model, image, at, over[1:], noise=noise, h=h)
    torch.testing.assert_close(first, plain)
    torch.testing.assert_close(second, faded)
    assert not torch.allclose(plain, faded)


@pytest.mark.parametrize("name", ["witt_light", "witt_base"])
def test_bf16_keeps_the_sums_of_all_blocks_in_float32(name: str) -> None:
    """What the blocks add to would lose what lies below the 8 bits of bfloat16."""
    model = tiny(name, cbr_range=None)
    seen = []
    for module in model.modules():
        if isinstance(module, SwinBlock):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    at = Conditions(torch.tensor([10.0]), torch.tensor([24]))
    received = send(model, image, at, [channels.AWGN()], bf16=True)
    assert received.dtype == torch.float32
    assert len(seen) > 8
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("loss", ["mse", "ms-ssim"])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_every_parameter_gets_a_finite_gradient(name: str, loss: str) -> None:
    model = tiny(name, cbr_range=None)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():  # what starts at 0 would hide what is behind it
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    image = torch.rand(2, 3, 64, 64, generator=generator)  # of 4 tokens none sees another one
    rates = [12, 24] if model.config.rate_adaptive else [24, 24]
    at = Conditions(torch.tensor([0.0, 10.0]), torch.tensor(rates))
    received = send(model, image, at, [channels.AWGN(), channels.Rayleigh()], generator)
    (loss_of(loss, received, image) * make_loss(loss).scale).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert bool(torch.isfinite(parameter.grad).all()), key
        assert bool((parameter.grad != 0).any()), key
