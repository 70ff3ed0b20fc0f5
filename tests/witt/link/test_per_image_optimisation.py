"""Symbols that the transmitter improves for one picture."""

import json
from pathlib import Path

import pytest
import torch

import channels
import witt
from cli import main
from tests.witt.tiny import CHANNELS, every_channel, every_kind, picture, seeded, tiny
from witt.codecs.classified import shannon_kotelnikov
from witt.codecs.classified.symbol_mapping import from_symbols
from witt.errors import InputError
from witt.link.per_image_optimisation import PerImageOptimisation, trained_for
from witt.metrics.quality import ms_ssim, psnr
from witt.pictures.images import to_tensor

SAMPLE = Path(witt.__file__).parent / "samples" / "kodim23.png"


def sample(side: int) -> torch.Tensor:
    return to_tensor(witt.read_image(SAMPLE).pixels[100 : 100 + side, 60 : 60 + side])


@every_kind
@every_channel
def test_power_and_length_stay(entries: dict[str, object], channel: channels.Channel) -> None:
    model, image = tiny(**entries), picture(2, 17, 30)
    plain = model.encode(image, 5.0)
    adapted = PerImageOptimisation(3, channel).encode(model, image, 5.0)
    assert adapted.symbols.shape == plain.symbols.shape
    assert not torch.equal(adapted.symbols, plain.symbols)
    # Within what the header's float16 of the scale leaves.
    power = adapted.symbols.abs().square().mean(1)
    torch.testing.assert_close(power, torch.ones_like(power), rtol=0, atol=2e-3)
    if plain.header.get("class map") is not None:
        assert adapted.header.get("class map") is not None
        assert torch.equal(adapted.header.get("class map"), plain.header.get("class map"))


@every_kind
def test_a_step_goes_downhill_over_its_own_noise(entries: dict[str, object]) -> None:
    """One step, small enough to be that of a gradient, lowers the loss over the noise it saw."""
    model, image = tiny(**entries), picture(1, 16, 16)
    sizes = []
    for steps in (4, 12):
        optimisation = PerImageOptimisation(steps, channels.AWGN())
        errors = []
        for encoded in (model.encode(image, 12.0), optimisation.encode(model, image, 12.0)):
            received = [
                model.carry(encoded, channels.AWGN(), 12.0, generator=seeded(seed)).image.detach()
                for seed in range(8)
            ]
            errors.append(
                torch.stack([(one - image).square().mean() for one in received]).mean().item()
            )
        assert errors[1] < errors[0]
        sizes.append(errors[1])
    assert sizes[1] < sizes[0]


def test_shipped_weights_gain() -> None:
    """More than the draws differ: over 6 draws that the transmitter has not seen."""
    image = sample(128)
    for name, measure, least in (("witt_light", psnr, 0.05), ("witt_light_ms_ssim", ms_ssim, 0.2)):
        model, training = witt.load_weights(witt.store.weights.resolve(name))
        how = PerImageOptimisation(5, channels.AWGN(), trained_for(training))
        gains = []
        with torch.inference_mode():
            plain = model.encode(image, 13.0, 1 / 16)
            adapted = how.encode(model, image, 13.0, 1 / 16)
            for seed in range(6):
                both = []
                for encoded in (plain, adapted):
                    got = model.carry(encoded, channels.AWGN(), 13.0, generator=seeded(seed))
                    value = measure(got.image, image)
                    both.append(float(value.db if name.endswith("ssim") else value))
                gains.append(both[1] - both[0])
        assert sum(gains) / len(gains) > least, name
        assert min(gains) > 0, name


@pytest.mark.parametrize("channel", CHANNELS, ids=repr)
def test_pictures_of_a_batch_do_not_touch_each_other(channel: channels.Channel) -> None:
    model, image = tiny(rate_adaptive=True), picture(3, 16, 24)
    how = PerImageOptimisation(3, channel)
    together = [model.encode(image, 5.0).symbols, how.encode(model, image, 5.0).symbols]
    for index in range(3):
        alone = how.encode(model, image[index : index + 1], 5.0).symbols
        torch.testing.assert_close(alone[0], together[1][index])
        assert not torch.equal(together[0][index], together[1][index])


def test_weights_and_gradients_are_left_alone() -> None:
    model = tiny(rate_adaptive=True)
    first = next(model.parameters())
    first.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learns = [parameter.requires_grad for parameter in model.parameters()]
    with torch.inference_mode():
        PerImageOptimisation(2, channels.AWGN()).encode(model, picture(1, 8, 8), 5.0)
    assert [parameter.requires_grad for parameter in model.parameters()] == learns
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_does_not_help_is_not_sent() -> None:
    """A flat decoder: nothing that is sent changes what arrives, so it stays as it was."""
    model = tiny()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    image = picture(1, 8, 8)
    plain = model.encode(image, 5.0)
    adapted = PerImageOptimisation(2, channels.AWGN()).encode(model, image, 5.0)
    assert torch.equal(adapted.symbols, plain.symbols)


def test_small_pictures_have_no_ms_ssim() -> None:
    model = tiny()
    how = PerImageOptimisation(1, channels.AWGN(), "ms-ssim")
    assert how.encode(model, picture(1, 7, 40), 5.0).symbols.isfinite().all()


def test_no_steps_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 step, not 0"):
        PerImageOptimisation(0, channels.AWGN())


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    witt.write_png(path, (sample(176)[0].permute(1, 2, 0) * 255).round().byte().numpy())

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(args)
        return (int(stop.value.code or 0), *capsys.readouterr())

    results = []
    for extra in ((), ("--adapt", "3")):
        code, out, _ = run(
            "transmit", str(path), "--json", "--snr", "13", *extra, "-o", str(tmp_path / "out")
        )
        assert code == 0
        results.append(json.loads(out)[0])
    assert [one["adapt"] for one in results] == [0, 3]
    assert results[1]["psnr_db"] > results[0]["psnr_db"]
    assert results[1]["channel_uses"] == results[0]["channel_uses"]
    code, out, _ = run("evaluate", str(path), "--snr", "13", "--adapt", "2", "--json")
    assert code == 0
    assert json.loads(out)["adapt"] == 2
    assert run("evaluate", str(path), "--adapt", "-1")[0] == 2
    code, _, err = run("evaluate", str(path), "--adapt", "2", "--profile", "published")
    assert code == 2
    assert "--profile ours only" in err


@torch.no_grad()
def test_an_expanded_feature_moves_along_its_curve() -> None:
    """By as much as a linear one of the same error would; all others by what is said."""
    model, image, snr_db = witt.load("witt_light"), sample(128), torch.tensor([13.0])
    encoder_output = model.transmit(image, snr_db, torch.tensor([96]), 3072).encoder_output
    assert encoder_output is not None
    allocation, features = encoder_output.allocation, encoder_output.features
    change = 0.1 * torch.randn(features.shape, generator=seeded(0))
    received = from_symbols(encoder_output.symbols(change), torch.zeros(1, 3072), allocation)
    sent = (
        features * allocation.gain * encoder_output.factors + change + encoder_output.summands
    ) * allocation.sent

    at = allocation.expanded[0]
    assert allocation.expanded_pairs.unique().tolist() == [1, 2]
    moved, gain, variance, more, found = (
        x.flatten()[at]
        for x in (
            features,
            allocation.gain,
            allocation.variance,
            encoder_output.summands,
            received.features,
        )
    )
    unit = (moved + change.flatten()[at] / gain) / variance.sqrt()
    sigma = (10 ** (-snr_db / 10) / 2).sqrt()
    numbers = sigma * shannon_kotelnikov.modulate(
        unit, allocation.expanded_power[0], allocation.expanded_pairs[0]
    )
    torch.testing.assert_close(found, numbers[:, 0] + more, rtol=0, atol=1e-4)
    torch.testing.assert_close(received.extra[0], numbers[:, 1:], rtol=0, atol=1e-4)
    others = torch.ones(features.numel(), dtype=torch.bool)
    others[at] = False
    torch.testing.assert_close(
        received.features.flatten()[others], sent.flatten()[others], rtol=0, atol=1e-4
    )
