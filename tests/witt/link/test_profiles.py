"""The published setting: what each departure does, and what evaluation makes of it."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import channels
import cli
import witt
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.feature_config import FeatureConfig
from witt.codecs.features import FeatureCodec
from witt.codecs.presets import codec_of
from witt.codecs.witt import WITTConfig
from witt.contract import Transmission
from witt.link.evaluation import Reception, measure
from witt.link.profile_link import pair_halves, transmit_as, unpair_halves
from witt.link.profiles import MEASURED, OURS, PUBLISHED, Profile, between, centre
from witt.link.summary import summary
from witt.metrics.metric import DEFAULT, PSNR, make_metrics
from witt.metrics.published import ms_ssim_published, published_similarity

SIZES: dict[str, Any] = {"dims": (8, 12), "depths": (1, 1), "heads": (2, 3), "window": 2}
PLAIN = WITTConfig("tiny", **SIZES, channels=8, modnet_layers=2, sends_scale=True)
CLASSIFIED = ClassifiedConfig(
    "tiny", **SIZES, channels=8, modnet_layers=2, sends_scale=True, classes=2, smooth_channels=2
)


def build(config: FeatureConfig = PLAIN) -> FeatureCodec:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = codec_of(config).double().eval()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model


def pictures(batch: int = 3) -> Tensor:
    """Their contrast differs, so that their power does."""
    noise = torch.rand((batch, 3, 16, 24), generator=seeded(1), dtype=torch.float64)
    return 0.5 + (noise - 0.5) * torch.linspace(1, 0.1, batch).reshape(-1, 1, 1, 1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cn(*shape: int, seed: int) -> Tensor:
    return channels.complex_normal(shape, dtype=torch.complex128, generator=seeded(seed))


def test_published_is_every_departure() -> None:
    entries = [entry.name for entry in fields(Profile) if entry.name != "name"]
    assert list(PUBLISHED.departures) == entries
    assert OURS.departures == ()
    assert set(MEASURED) < set(entries)
    ours, alone, published = between(["half_pairs"])
    assert (ours, alone.departures, published) == (OURS, ("half_pairs",), PUBLISHED)


@torch.inference_mode()
@pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()], ids=repr)
def test_ours_is_the_model(channel: channels.Channel) -> None:
    model, image = build(), pictures()
    mine = transmit_as(OURS, model, image, channel, 7.0, generator=seeded())
    same = model(image, channel, 7.0, generator=seeded())
    assert torch.equal(mine.image, same.image)
    assert mine.header_bits == same.header_bits == 72


@torch.inference_mode()
@pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()], ids=repr)
def test_published_by_hand(channel: channels.Channel) -> None:
    """Real numbers all the way, as the published channel has it: one power, halves, |h|."""
    model, image, snr_db = build(), pictures(), 4.0
    n = model.channel_uses((16, 24))
    h = cn(3, n, seed=2) if channel.fading else None
    noise = cn(3, n, seed=3)
    sent = transmit_as(PUBLISHED, model, image, channel, snr_db, h=h, noise=noise)

    snr = torch.full((3,), snr_db, dtype=torch.float64)
    features = model.encoder(image, snr[:, None])
    power = 2 * features.square().mean()  # of a complex symbol
    flat = features.flatten() / power.sqrt()
    half = len(flat) // 2
    gain = 1.0 if h is None else h.abs().flatten()
    # Each real feature meets its own noise, of the deviation sqrt(1 / (2 · snr)).
    n_i, n_q = (torch.view_as_real(noise).flatten() * 10 ** (-snr_db / 20)).chunk(2)
    received = torch.cat((gain * flat[:half] + n_i, gain * flat[half:] + n_q)) * power.sqrt()
    expected = model.decoder(
        received.reshape(features.shape),
        snr[:, None],
    )
    torch.testing.assert_close(sent.image, expected, rtol=0, atol=1e-12)
    assert sent.header_bits == 56
    symbols = torch.complex(flat[:half], flat[half:])
    torch.testing.assert_close(sent.symbols.flatten(), symbols, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        torch.view_as_real(sent.received).flatten() * power.sqrt(), received, rtol=0, atol=1e-12
    )


@torch.inference_mode()
def test_power_of_the_batch_is_shared() -> None:
    """One scale: the faint picture is sent with less than unit power, the batch with unit power."""
    profile = Profile("", batch_power=True)
    symbols = transmit_as(profile, build(), pictures(), channels.AWGN(), 7.0).symbols
    power = symbols.abs().square().mean(dim=1)
    assert float(power.mean()) == pytest.approx(1, abs=1e-12)
    assert float(power.max() - power.min()) > 0.01


@torch.inference_mode()
def test_pairs_from_the_halves() -> None:
    symbols = cn(2, 3, seed=1)
    real = torch.view_as_real(symbols).flatten()
    paired = pair_halves(symbols)
    assert torch.equal(paired.flatten(), torch.complex(real[:6], real[6:]))
    assert torch.equal(unpair_halves(paired), symbols)
    # On AWGN nothing tells the symbols apart.
    model, image = build(CLASSIFIED), pictures(2)
    noise = cn(2, model.channel_uses((16, 24)), seed=3)
    apart, together = (
        transmit_as(profile, model, image, channels.AWGN(), 1.0, noise=noise).image
        for profile in (OURS, Profile("", half_pairs=True))
    )
    torch.testing.assert_close(apart, together, rtol=0, atol=1e-12)


@torch.inference_mode()
def test_halves_meet_the_equaliser() -> None:
    """With CSI each feature keeps its own error variance: half of that of its symbol."""
    seen: list[Tensor] = []
    model = build(CLASSIFIED)
    receive = model.receive

    def watch(*args: Any) -> Tensor:
        seen.append(args[1])
        return receive(*args)

    model.receive = watch  # type: ignore[method-assign]
    n = model.channel_uses((16, 24))
    h = cn(2, n, seed=2)
    profile = Profile("", half_pairs=True)
    transmit_as(profile, model, pictures(2), channels.Rayleigh(), 0.0, h=h, noise=cn(2, n, seed=3))
    errors = (1 / (h.abs().square() + 1)).flatten()  # MMSE at N0 = 1, of I and of Q alike
    expected = torch.cat((errors, errors)).reshape(-1, 2).mean(dim=1)
    torch.testing.assert_close(seen[0].flatten(), expected, rtol=0, atol=1e-12)


# Measurement


def test_metrics_of_floats_and_of_eight_bits() -> None:
    image = torch.full((1, 3, 8, 8), 100 / 255, dtype=torch.float64)
    off = image + 0.25 / 255  # a quarter of a level, which rounding removes
    sent = Transmission(off, torch.zeros(1, 6), torch.zeros(1, 6), 0.1, 0)
    (ours,) = measure(Reception(image, sent, 0.0), OURS, make_metrics(DEFAULT))
    floats = Profile("", float_pixels=True)
    (published,) = measure(Reception(image, sent, 0.0), floats, make_metrics(["psnr"]))
    assert (ours["psnr_db"], ours["ms_ssim_db"]) == (100.0, 60.0)  # nothing counts as more
    assert published["psnr_db"] == pytest.approx(20 * math.log10(255 / 0.25), abs=1e-6)


@pytest.mark.parametrize(
    ("side", "variant"),
    [
        (88, "ms-ssim-published"),
        (87, "ms-ssim-published-window3"),
        (32, "ms-ssim-published-window3"),
        (23, "undefined"),
    ],
)
def test_published_similarity_of_small_pictures(side: int, variant: str) -> None:
    image = torch.rand((2, 3, side, side), generator=seeded(), dtype=torch.float64)
    noisy = (image + 0.1 * torch.rand(image.shape, generator=seeded(1))).clamp(0, 1)
    found = published_similarity(noisy, image)
    assert found.variant == variant
    if variant == "undefined":
        assert found.value.isnan().all()
        return
    window = 11 if side == 88 else 3
    assert torch.equal(found.value, ms_ssim_published(noisy, image, window))
    torch.testing.assert_close(found.db, -10 * torch.log10(1 - found.value))
    assert not torch.isclose(found.value, witt.ms_ssim(noisy, image).value, atol=1e-3).any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 768), (slice(0, 512), slice(0, 768))),
        ((300, 131), (slice(22, 278), slice(2, 130))),
        ((100, 128), (slice(0, 100), slice(0, 128))),
    ],
)
def test_centre(size: tuple[int, int], expected: tuple[slice, slice]) -> None:
    assert centre(size) == expected


@pytest.mark.parametrize(
    ("psnrs", "expected"),
    [
        ([100.0] * 3, 100.0),
        ([100.0, 20.0], -10 * math.log10((1e-10 + 1e-2) / 2)),
        ([0.0, 0.0], 0.0),
    ],
)
def test_mean_squared_error_of_perfect_pictures(psnrs: list[float], expected: float) -> None:
    """A picture without error counts as 100 dB here too."""
    same = {"cbr": 0.1, "ms_ssim": 1.0, "ms_ssim_db": 60.0, "seconds": 0.0, "batch": 0}
    found = summary([{"psnr_db": each, **same} for each in psnrs], PUBLISHED, [PSNR])["psnr_db"]
    assert found == pytest.approx(expected, abs=1e-12)
    assert math.copysign(1, found) == 1


# The command


def evaluate(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[dict[str, Any], str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate", "--json", *map(str, args)])
    out, err = capsys.readouterr()
    assert stop.value.code == 0, err
    return json.loads(out), err


def test_both_side_by_side(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each profile is what it is alone; metrics-only departures share what was received."""
    pixels = np.random.default_rng(0).integers(0, 256, (130, 128, 3), dtype=np.uint8)
    witt.write_png(tmp_path / "a.png", pixels)
    args = (tmp_path / "a.png", "--weights", weights, "--snr", 3, "--channel", "awgn,rayleigh")
    both, table = evaluate(capsys, *args, "--profile", "both")
    assert both["profile"] == "both"
    by_name = {(r["channel"], r["profile"]): r for r in both["results"]}
    named = {name for channel, name in by_name if channel == "rayleigh"}
    absent = ["mean_mse"]
    shown = [f"ours, {text}" for entry, text in MEASURED.items() if entry not in absent]
    assert named == {"ours", "published", *shown}
    assert named - {name for channel, name in by_name if channel == "awgn"} == {
        f"ours, {MEASURED['no_csi']}"
    }
    for profile in ("ours", "published"):
        ideal = ("--side-information", "ideal")
        alone, title = evaluate(capsys, *args, "--profile", profile, *ideal)
        assert "ideal side information" in title
        assert f"profile {profile}" in title
        for result in alone["results"]:
            same = by_name[result["channel"], profile]
            for key in ("psnr_db", "ms_ssim_db", "profile", "departures", "cbr"):
                assert result[key] == same[key]
        (entry,) = alone["results"][0]["images"]
        assert entry["height"] == (130 if profile == "ours" else 128)
    ours, published = (by_name["rayleigh", name]["psnr_db"] for name in ("ours", "published"))
    assert f"{published - ours:+.2f}" in table
    assert "published − ours" in table


def test_cifar_sheets_are_measured_in_batches(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours is the mean of the PSNRs, published the PSNR of the mean squared error."""
    rng = np.random.default_rng(0)
    sheet = rng.integers(0, 256, (64, 64, 3)) * np.linspace(0, 1, 64)[:, None, None]
    Image.fromarray(sheet.astype(np.uint8)).save(tmp_path / "test_00.webp", lossless=True)
    np.save(tmp_path / "test_labels.npy", np.zeros(3, np.uint8))
    args = (tmp_path, "--weights", weights, "--snr", 3, "--cbr", "1/16")
    for profile in ("ours", "published"):
        (result,) = evaluate(capsys, *args, "--profile", profile)[0]["results"]
        assert len(result["images"]) == 3
        psnrs = np.array([entry["psnr_db"] for entry in result["images"]])
        pooled = -10 * math.log10(np.mean(10 ** (-psnrs / 10)))
        mean = pooled if profile == "published" else psnrs.mean()
        assert result["psnr_db"] == pytest.approx(mean, abs=1e-9)
        assert abs(pooled - psnrs.mean()) > 0.001
