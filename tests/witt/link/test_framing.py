"""A picture as a frame: with perfect knowledge of the channel it is that of the simulation."""

from pathlib import Path

import numpy as np
import pytest
import torch

import channels
import witt
from witt.link.draws import draw_channel
from witt.link.framing import Lost, Weights, all_shipped, frame_symbols, receive_frame
from witt.link.side_link import carry_coded, encode_coded
from witt.radio.frame import assemble, layout
from witt.radio.reception import OwnEstimates, TrueGains
from witt.report import file_sha256
from witt.side_information import Coding
from witt.store.weights import resolve

ROOT = Path(__file__).parents[3]
SNR_DB = 8.0


def photograph(height: int, width: int) -> torch.Tensor:
    pixels = witt.read_image(ROOT / "witt" / "samples" / sorted(SAMPLES)[0]).pixels
    return witt.to_tensor(pixels[:height, :width])


SAMPLES = [path.name for path in (ROOT / "witt" / "samples").iterdir() if path.suffix == ".png"]


@pytest.mark.parametrize("channel", [channels.AWGN(), channels.Rayleigh()], ids=["awgn", "fast"])
@pytest.mark.parametrize("name", ["witt_light", "witt_base"])
def test_ideal_reception_is_the_simulation(name: str, channel: channels.Channel) -> None:
    """The same noise and gains on the same symbols: the same picture, to rounding."""
    path, image = resolve(name), photograph(128, 192)
    model, sha = witt.load(path), file_sha256(path)
    coding = Coding.of(channel, sha)
    with torch.inference_mode():
        encoded = encode_coded(model, image, SNR_DB, 1 / 16, coding=coding)
        expected = carry_coded(model, encoded, channel, SNR_DB, seeds=[3], coding=coding)
        assert expected.lost == (False,)
        symbols = frame_symbols(model, encoded, coding)
        side = round(expected.side_uses)
        uses = encoded.symbols.shape[1]
        gain, noise = draw_channel(channel, uses, [3], expected.symbols.shape[1] - uses)
        count, header = len(symbols), coding.header_uses(model.side_codes(), SNR_DB)
        # The simulation has the picture first, then the blocks, then the header.
        order = np.arange(count)
        first = np.concatenate([order[side:], order[header:side], order[:header]])
        assert np.array_equal(symbols[first], expected.symbols[0].numpy())
        n0 = 10 ** (-SNR_DB / 10)
        samples, places = assemble(symbols), layout(count).symbols
        h = np.ones(len(samples), np.complex64)
        h[places[first]] = 1 if gain is None else gain[0].numpy()
        samples = samples * h
        samples[places[first]] += np.float32(np.sqrt(n0)) * noise[0].numpy()
        found = receive_frame(TrueGains(samples, h, n0), [Weights(path, name)])
    assert found.weights.name == name
    assert found.missing == 0
    assert torch.allclose(found.image, expected.image, atol=2e-4)


def test_own_estimates_cost_little() -> None:
    """At 8 dB less than 0.1 dB, after a delay and with an offset, found by the hash alone."""
    path, image = resolve("witt_light"), photograph(256, 256)
    model, sha = witt.load(path), file_sha256(path)
    coding = Coding.of(channels.AWGN(), sha)
    with torch.inference_mode():
        encoded = model.encode_with_side(image, SNR_DB, 1 / 16, coding)
        frame = assemble(frame_symbols(model, encoded, coding))
        turn = np.exp(2j * np.pi * (0.3 + 0.0042 * np.arange(len(frame))))
        clean = np.concatenate([np.zeros(500), 0.1 * turn * frame, np.zeros(100)])
        rng, n0 = np.random.default_rng(0), 0.01 * 10 ** (-SNR_DB / 10)
        noise = rng.standard_normal((2, len(clean))) * np.sqrt(n0 / 2)
        samples = (clean + noise[0] + 1j * noise[1]).astype(np.complex64)
        own = OwnEstimates.find(samples)
        assert own is not None
        found = receive_frame(own, all_shipped())
        h = np.concatenate([np.zeros(500), 0.1 * turn, np.zeros(100)]).astype(np.complex64)
        ideal = receive_frame(TrueGains(samples, h, n0), all_shipped())
    assert found.weights.name == "witt_light"
    assert own.start.place == 500
    assert own.start.frequency == pytest.approx(0.0042, abs=1e-6)
    assert found.snr_db == pytest.approx(SNR_DB, abs=0.5)
    loss = float(witt.psnr(ideal.image, image) - witt.psnr(found.image, image))
    assert -0.05 < loss < 0.1


def test_a_part_of_a_frame(weights: Path) -> None:
    """What is missing is erased, whatever is there counts, and less than the header is nothing."""
    model, sha = witt.load(weights), file_sha256(weights)
    coding, image = Coding.of(channels.AWGN(), sha), photograph(64, 64)
    with torch.inference_mode():
        encoded = model.encode_with_side(image, 30.0, 1 / 8, coding)
        symbols = frame_symbols(model, encoded, coding)
        frame, count = assemble(symbols), len(symbols)
        mine = [Weights(weights, "tiny")]
        whole = receive_frame(TrueGains(frame), mine)
        errors = []
        for kept in (count - 1, count - 200, count - 500):
            part = receive_frame(TrueGains(frame[: layout(kept, False).length]), mine)
            assert part.missing == count - kept
            errors.append(float((part.image - whole.image).square().mean()))
        assert errors == sorted(errors)
        with pytest.raises(Lost):
            receive_frame(TrueGains(frame[:600]), mine)
