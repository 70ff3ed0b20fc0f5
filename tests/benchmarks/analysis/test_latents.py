"""The power of latent channels: of known amplitudes, and of the symbols that they became."""

import pytest
import torch
from torch import Tensor

import witt
from benchmarks.analysis.latents import carriers
from tests.witt.tiny import FULL, MASKED, RATES, picture, tiny
from witt.codecs.classified.bandwidth_expansion import expand
from witt.codecs.classified.codec import CLASS_MAP
from witt.codecs.dynamic import DynamicConfig, DynamicWITT
from witt.codecs.features import FeatureCodec
from witt.codecs.swinjscc import MASK

AMPLITUDES = torch.tensor([3.0, 1.0, 0.0, 2.0, 0.5, 0.5, 0.1, 4.0], dtype=torch.float64)


def known(image: Tensor, *_: Tensor) -> Tensor:
    """Features of known size and random sign."""
    shape = (len(image), image.shape[2] // 4, image.shape[3] // 4, len(AMPLITUDES))
    signs = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return signs * AMPLITUDES


@pytest.mark.parametrize(("cbr", "sent"), [(None, 8), (1 / 24, 4)])
def test_known_amplitudes(cbr: float | None, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(**RATES)
    monkeypatch.setattr(model, "features", known)
    share = model.latent_power(model.encode(picture(2, 16, 24), 7.0, cbr))
    power = AMPLITUDES[:sent].square()
    expected = (power / power.sum()).expand(2, -1)
    torch.testing.assert_close(share, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("snr_db", [-2.0, 20.0])
def test_of_the_classified_code(snr_db: float) -> None:
    """What its encoder makes of each feature, before interleaving, precoding and class map."""
    model = tiny(**FULL)
    image = picture(2, 32, 40)
    share = model.latent_power(model.encode(image, snr_db))
    draft = model.draft(image, snr_db)
    output = draft.sending.encoder_output
    allocation = output.allocation
    linear = output.features * allocation.gain * output.factors
    numbers, extra = expand(output.features, linear, allocation, output.snr_db)
    energy = ((numbers + output.summands) * allocation.sent).square()
    where = allocation.expanded.clamp_max(energy[0].numel() - 1)
    flat = energy.flatten(1).scatter_add(1, where, extra.square().sum(-1))
    total = model.unscaled(draft).abs().square().sum(1, keepdim=True)
    expected = flat.reshape(energy.shape).sum(dim=(1, 2)) / total
    torch.testing.assert_close(share, expected, rtol=0, atol=1e-10)
    # The class map takes the rest, at the mean power of the other symbols.
    uses, own = allocation.map_uses, allocation.uses
    assert share.sum(1).tolist() == pytest.approx((own.double() / (own + uses)).tolist(), abs=1e-10)


@pytest.mark.parametrize("rate_adaptive", [False, True])
def test_of_dynamic_tokens(rate_adaptive: bool) -> None:
    """Token by token, the first of its features."""
    sizes = {"window": 2, "channels": 8, "modnet_layers": 2, "rate_adaptive": rate_adaptive}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DynamicWITT(DynamicConfig("tiny", (8, 12), (1, 1), (2, 3), **sizes)).double().eval()
    image = picture(2, 16, 24)
    cbr = 1 / 16 if rate_adaptive else None  # 6 features a token
    encoded = model.encode(image, 7.0, cbr)
    k = 2 * encoded.header.rate
    features = model.features(image, torch.full((2,), 7.0), torch.full((2,), k)).flatten(1, 2)
    mean = k // 2
    uses = (mean - mean // 2, mean, mean + 2 * (mean // 2))
    energy = torch.zeros(2, 2 * 8, dtype=torch.float64)
    for n, classes in enumerate(encoded.header.side[CLASS_MAP].value.flatten(1).tolist()):
        for token, level in zip(features[n].detach(), classes, strict=True):
            energy[n, : 2 * uses[level]] += token[: 2 * uses[level]].square()
    expected = energy / energy.sum(1, keepdim=True)
    torch.testing.assert_close(model.latent_power(encoded).detach(), expected, rtol=0, atol=1e-12)


def test_of_the_channels_that_a_mask_keeps() -> None:
    """The others have none; those of each picture are at their own places."""
    model = tiny(2, **MASKED, channels=12)
    image = picture(3, 16, 24)
    encoded = model.encode(image, 7.0, 6 / 96)
    share, kept = model.latent_power(encoded), encoded.header.side[MASK].value
    assert kept.sum(1).tolist() == [6, 6, 6]
    tokens = torch.view_as_real(encoded.symbols).detach().reshape(3, -1, 6)
    for n in range(3):
        expected = dict.fromkeys(range(12), 0.0)
        total = float(tokens[n].square().sum())
        for place, channel in enumerate(kept[n].nonzero()[:, 0].tolist()):
            expected[channel] = float(tokens[n, :, place].square().sum()) / total
        assert share[n].tolist() == pytest.approx(list(expected.values()), abs=1e-12)


class Other(FeatureCodec):
    """Sends its features in an order of its own."""

    def transmit(self, *args: Tensor) -> Tensor:  # type: ignore[override]
        raise NotImplementedError


class Plain(witt.Codec):
    """Knows nothing of features."""


def test_what_cannot_be_told() -> None:
    encoded = witt.Encoded(torch.zeros(1, 4, dtype=torch.complex64), None)  # type: ignore[arg-type]
    refused = "does not tell which symbols its latent channels are sent by"
    with pytest.raises(witt.InputError, match=f"Plain {refused}"):
        Plain().latent_power(encoded)
    other = Other(tiny().config)
    with pytest.raises(witt.InputError, match=f"tiny {refused}"):
        other.latent_power(encoded)


@pytest.mark.parametrize(
    ("share", "expected"),
    [([0.5, 0.1, 0.4], 2), ([0.1] * 10, 9), ([0.05] * 20, 18), ([1.0, 0.0], 1), ([0.2, 0.3], 2)],
)
def test_carriers(share: list[float], expected: int) -> None:
    assert carriers(torch.tensor(share)) == expected
