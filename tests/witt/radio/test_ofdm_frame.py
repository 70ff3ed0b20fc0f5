"""Frames of OFDM over several paths, estimated from pilots alone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from channels import Tdl
from witt.radio.frame import PREAMBLE, assemble
from witt.radio.multipath import through_paths
from witt.radio.ofdm_frame import RADIO, OfdmEstimates
from witt.radio.reception import OwnEstimates
from witt.radio.sequence import qpsk_sequence

GRID, SLOT, LENGTH = RADIO.grid, RADIO.slot, RADIO.length
RATE_HZ = GRID.numerology.rate_hz
SLOTS = 4
COUNT = SLOTS * GRID.data_per_slot
SYMBOLS = qpsk_sequence(COUNT, 11)


def noise(count: int, n0: float, rng: np.random.Generator) -> NDArray[np.complex128]:
    both = rng.standard_normal((2, count)) * np.sqrt(n0 / 2)
    return np.asarray(both[0] + 1j * both[1])


def recorded(paths: Tdl | None, snr_db: float, frequency: float, seed: int = 0) -> OfdmEstimates:
    """The frame after 500 samples of noise, found in the recording."""
    rng = np.random.default_rng(seed)
    samples = torch.from_numpy(RADIO.assemble(SYMBOLS))
    if paths is not None:
        samples = through_paths(samples, paths, RATE_HZ, torch.Generator().manual_seed(seed))
    turned = samples.numpy() * np.exp(2j * np.pi * (0.4 + frequency * np.arange(len(samples))))
    clean = np.concatenate([np.zeros(500), turned, np.zeros(200)])
    heard = clean + noise(len(clean), 10 ** (-snr_db / 10), rng)
    found = RADIO.find(heard.astype(np.complex64))
    assert found is not None
    return found


def test_power_of_samples() -> None:
    """That of the subcarriers which are used, so that noise is the same on both sides."""
    samples = RADIO.assemble(SYMBOLS)
    assert len(samples) == PREAMBLE + SLOTS * SLOT * LENGTH
    power = float((np.abs(samples[PREAMBLE:]) ** 2).mean())
    assert power == pytest.approx(624 / 1024, rel=0.01)


@pytest.mark.parametrize("paths", [None, Tdl("A", 30.0), Tdl("A", 300.0), Tdl("C", 300.0)])
@pytest.mark.parametrize("snr_db", [3.0, 20.0])
def test_what_is_left_is_noise(paths: Tdl | None, snr_db: float) -> None:
    """y − ĥ x has the power that is claimed, which is at most 0.3 dB above N0."""
    found = recorded(paths, snr_db, 0.0037)
    heard = found.hear(COUNT)
    left = float((np.abs(heard.y - heard.h * SYMBOLS) ** 2).mean())
    assert left == pytest.approx(float(heard.noise_var.mean()), rel=0.05)
    assert left < 10 ** (-snr_db / 10) * 10**0.03
    # Where the strongest path is, and its Doppler, is chance.
    assert abs(found.start.place - 500) <= (0 if paths is None else 30)
    most = 1e-7 if paths is None else 2e-6
    assert abs(found.start.frequency - 0.0037) < most * (10 if snr_db < 10 else 1)


def test_fast_movement_is_followed() -> None:
    """At 120 km/h the pilots choose a wide Doppler spectrum; 1 dB is lost at 10 dB."""
    heard = recorded(Tdl("A", 300.0, 120.0), 10.0, 0.001).hear(COUNT)
    left = float((np.abs(heard.y - heard.h * SYMBOLS) ** 2).mean())
    assert left < 0.1 * 10**0.1
    assert left == pytest.approx(float(heard.noise_var.mean()), rel=0.1)


def test_the_first_symbols_before_the_rest_is_known() -> None:
    found = recorded(None, 20.0, 0.002)
    first, all_of_them = found.hear(108, whole=False), found.hear(COUNT)
    assert len(first.y) == 108
    assert np.allclose(first.h, all_of_them.h[:108], atol=0.1)


def test_a_cut_recording_has_whole_slots() -> None:
    samples = RADIO.assemble(SYMBOLS)
    for kept, slots in ((SLOT * LENGTH * 2 + 500, 2), (SLOT * LENGTH - 100, 0)):
        found = RADIO.find(samples[: PREAMBLE + kept])
        assert found is not None
        assert len(found.hear(COUNT).y) == slots * GRID.data_per_slot


def test_each_waveform_has_its_preamble() -> None:
    single, ofdm = assemble(SYMBOLS[:2000]), RADIO.assemble(SYMBOLS[:2000])
    assert OwnEstimates.find(ofdm) is None
    assert RADIO.find(single) is None


def test_paths_are_those_of_the_table() -> None:
    """A tone of frequency f comes out times E|H|² = 1, and a delay of whole samples is one."""
    paths = Tdl("A", 300.0, 0.0)
    total = 0.0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        x = torch.exp(2j * torch.pi * torch.tensor(0.1) * torch.arange(512)).to(torch.complex64)
        y = through_paths(x, paths, RATE_HZ, generator)[200:400]
        total += float(y.abs().square().mean()) / 200
    assert total == pytest.approx(1, abs=4 / np.sqrt(200))
    pulse = torch.zeros(100, dtype=torch.complex64)
    pulse[10] = 1

    class Two(Tdl):
        def gains(self, batch: int, times: int, step_s: float, **_: object) -> torch.Tensor:
            return torch.tensor([1.0, -2.0j]).expand(batch, times, 2)

    two = Two("A")
    two.delays_s = torch.tensor([3.0, 7.0], dtype=torch.float64) / 1e6
    out = through_paths(pulse, two, 1e6, torch.Generator())
    assert len(out) == 107
    expected = torch.zeros(107, dtype=torch.complex64)
    expected[13], expected[17] = 1, -2j
    assert torch.allclose(out, expected, atol=1e-6)
