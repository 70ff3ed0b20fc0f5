"""OFDM over multipath: against AWGN, its own two ways, and closed forms."""

import math

import pytest
import torch
from torch import Tensor

import channels
from channels import FrontEnd, Grid, Numerology, Ofdm, Pilots, Tdl
from channels.estimation import LeastSquares
from channels.impairments import bussgang, clip, kept_power, phase_steps
from channels.named import ofdm_awgn, ofdm_tdl_a
from channels.ofdm import modulate, to_frequency, to_time
from channels.tdl import Flat, Paths

SMALL = Grid(Numerology(64, 48, 8, 15e3), Pilots((1, 5), 2, 7))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symbols(batch: int, n: int, seed: int = 1, dtype: torch.dtype = torch.complex128) -> Tensor:
    return channels.complex_normal((batch, n), dtype=dtype, generator=seeded(seed))


def power(z: Tensor) -> float:
    return z.abs().square().mean().item()


class Two(Paths):
    """Two paths of gains that do not change."""

    def __init__(self, delay_s: float) -> None:
        delays = torch.tensor([0.0, delay_s], dtype=torch.float64)
        super().__init__(delays, torch.tensor([0.64, 0.36], dtype=torch.float64), 0.0, 0.0)

    def gains(self, batch: int, times: int, step_s: float, **how: object) -> Tensor:
        return torch.tensor([0.8, 0.6j], dtype=torch.complex128).expand(batch, times, 2)


def test_without_paths_it_is_awgn() -> None:
    x = symbols(2, 9000)
    ofdm, awgn = ofdm_awgn(estimation="perfect"), channels.AWGN()
    state, noise = ofdm.draw(2, 9000, dtype=torch.complex128, generator=seeded())
    out = ofdm(x, 5.0, h=state, noise=noise)
    torch.testing.assert_close(out.y, awgn(x, 5.0, noise=noise).y)
    torch.testing.assert_close(out.h, torch.ones_like(x))
    torch.testing.assert_close(out.noise_var, torch.full((2, 9000), 10**-0.5).double())
    assert ofdm.overhead == pytest.approx(1096 / 1024 * 14 / 13)


@pytest.mark.parametrize("late", [5, 8])
def test_a_prefix_that_is_long_enough_leaves_one_gain_a_subcarrier(late: int) -> None:
    """Samples through a filter, sample by sample, against the product of transforms."""
    x, numbers = symbols(1, 500), SMALL.numerology
    ofdm = Ofdm(Two(late / numbers.rate_hz), SMALL, "perfect", interleave=False)
    assert not ofdm.in_time
    y, h, _ = ofdm(x, math.inf, generator=seeded())
    torch.testing.assert_close(y, h * x)

    sent = modulate(SMALL.place(x), numbers)[0]
    received = 0.8 * sent
    received[late:] += 0.6j * sent[:-late]
    whole = received.unflatten(0, (-1, numbers.length))[:, numbers.prefix :]
    torch.testing.assert_close(SMALL.take(to_frequency(whole, numbers)[None], 500), y)


def test_a_prefix_that_is_too_short_lets_symbols_interfere() -> None:
    """Of a delay of d samples past the prefix d come from the symbol before."""
    x, numbers, past = symbols(1, 20_000), SMALL.numerology, 6
    ofdm = Ofdm(Two((numbers.prefix + past) / numbers.rate_hz), SMALL, "perfect")
    assert ofdm.in_time
    y, h, _ = ofdm(x, math.inf, generator=seeded())
    # What is missing of the symbol, and what is there of the one before: on average over all
    # bins 2 d / F of the late path's power, of which those that are used get nearly all.
    lost = 2 * past / numbers.fft_size * 0.36
    assert 0.85 * lost < power(y - h * x) < 1.1 * lost


@pytest.mark.parametrize("model", ["A", "D"])
def test_subcarriers_and_samples_agree_when_the_channel_moves(model: str) -> None:
    """The product with interference between subcarriers, and all samples through all paths.

    They differ by what a delay between samples does at the edges of a symbol whose unused
    subcarriers are cut off; and not in the interference, which is 30 times as much.
    """
    x = symbols(1, 8000)
    draws = {}
    for domain in ("frequency", "time"):
        paths = Tdl(model, 30, 500)
        ofdm = Ofdm(paths, None, "perfect", domain=domain)
        state, noise = ofdm.draw(1, 8000, dtype=torch.complex128, generator=seeded(2))
        draws[domain] = ofdm(x, math.inf, h=state, noise=noise)
    (y, h, _), (sampled, same, _) = draws["frequency"], draws["time"]
    torch.testing.assert_close(h, same)
    assert power(sampled - y) < power(y - h * x) / 30


def test_interference_from_movement() -> None:
    """E|y - h x|² without noise is 1 - E|mean gain|², 0.019 at 500 km/h."""
    ofdm = Ofdm(Tdl("A", 30, 500), None, "perfect")
    x = symbols(60, 8000)
    y, h, noise_var = ofdm(x, math.inf, generator=seeded())
    each = (y - h * x).abs().square().mean(1)
    error = each.std().item() / math.sqrt(60)
    assert ofdm.blurred == pytest.approx(1 / 24 * (2 * math.pi * 1621.4 / 15e3) ** 2, rel=0.02)
    # The outermost subcarriers have neighbours at one side only, and 1024 - 624 bins are empty.
    assert abs(each.mean().item() - ofdm.blurred) < 4 * error + 0.03 * ofdm.blurred
    assert noise_var.unique().tolist() == pytest.approx([ofdm.blurred])
    gain = h.abs().square().mean(1)
    assert abs(gain.mean().item() - ofdm.kept) < 4 * gain.std().item() / math.sqrt(60)


def test_least_squares_has_the_error_of_its_weights() -> None:
    """Of a channel that is a straight line in time and frequency only the noise is left."""
    times, tones = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0, 4.0])
    everywhere, all_tones = torch.arange(5.0), torch.arange(5.0)
    ls = LeastSquares(times, tones, everywhere, all_tones)
    noise = symbols(20_000, 6).unflatten(1, (2, 3)) * 0.5
    h, error = ls(noise, torch.full((20_000, 1), 0.25, dtype=torch.float64))
    # Between two pilots half of each, in time and in frequency; past the last one that alone.
    weights = torch.tensor([1, 1, 0.5, 1, 1])[:, None] * torch.tensor([1, 0.5, 1, 0.5, 1])
    torch.testing.assert_close(error[0], 0.25 * weights.double())
    found = h.abs().square()
    assert ((found.mean(0) - error[0]).abs() < 4.5 * found.std(0) / math.sqrt(20_000)).all()
    line = (1 + 2j) + torch.tensor([[1.0], [3.0]]) * 0.3 + tones * 0.1j
    h, _ = ls(line[None].to(torch.complex128), torch.zeros(1, 1, dtype=torch.float64))
    inner = (1 + 2j) + everywhere[1:4, None] * 0.3 + all_tones * 0.1j
    torch.testing.assert_close(h[0, 1:4], inner.to(torch.complex128), rtol=1e-6, atol=1e-6)


def covariance(grid: Grid, paths: Paths, slots: int) -> Tensor:
    """Of the channel at all places of the grid, straight from its definition."""
    numbers = grid.numerology
    times = torch.arange(slots * grid.pilots.slot).repeat_interleave(numbers.subcarriers)
    tones = numbers.numbers().repeat(slots * grid.pilots.slot)
    return paths.over_time((times[:, None] - times) * numbers.period_s) * paths.over_frequency(
        (tones[:, None] - tones) * numbers.spacing_hz
    )


def test_lmmse_is_the_wiener_filter_and_has_its_error() -> None:
    paths, slots, n0 = Tdl("A", 2000, 300), 2, torch.tensor([[0.1], [0.01]], dtype=torch.float64)
    ofdm = Ofdm(paths, SMALL)
    at_pilots = symbols(2, slots * 48).unflatten(1, (-1, 24))
    h, error = ofdm.estimator(slots)(at_pilots, n0)
    # The whole matrix, of all pilots at once.
    whole = covariance(SMALL, paths, slots) * ofdm.kept
    places = torch.arange(len(whole)).view(slots, 7, 48)[:, [1, 5], ::2].flatten()
    for image in range(2):
        inner = whole[places][:, places] + n0[image] * torch.eye(len(places))
        weights = torch.linalg.solve(inner, whole[places]).mH
        expected = (weights @ at_pilots[image].flatten()).view(14, 48)
        left = ofdm.kept - (weights * whole[:, places].conj()).sum(1).real.view(14, 48)
        torch.testing.assert_close(h[image], expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(error[image], left, rtol=0, atol=1e-5)


@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_estimates_have_the_error_that_is_claimed_and_lmmse_the_least(snr_db: float) -> None:
    batch, n = 100, 8 * 624
    x, found = symbols(batch, n, dtype=torch.complex64), {}
    for estimation in ("perfect", "ls", "lmmse"):
        ofdm = ofdm_tdl_a(100, 30, estimation=estimation)
        out = ofdm(x, snr_db, generator=seeded())
        found[estimation] = (out.h, out.noise_var - 10 ** (-snr_db / 10) - ofdm.blurred)
    mean = {}
    for estimation in ("ls", "lmmse"):
        h, claimed = found[estimation]
        each = (h - found["perfect"][0]).abs().square().mean(1).double()
        mean[estimation], error = each.mean().item(), each.std().item() / math.sqrt(batch)
        bias = 0.02 * 10 ** (-snr_db / 10) + (2e-3 if estimation == "ls" else 0)
        assert abs(mean[estimation] - claimed.double().mean().item()) < 4 * error + bias
    assert mean["lmmse"] < 0.2 * mean["ls"]


def test_the_decoder_is_told_the_error_that_there_is() -> None:
    x = symbols(300, 3000, dtype=torch.complex64)
    ofdm = ofdm_tdl_a(300, 120)
    x_hat, error = channels.receive(ofdm, ofdm(x, 10.0, generator=seeded()))
    assert error is not None
    each = (x_hat - x).abs().square().mean(1)
    assert abs((each - error.mean(1)).mean()) < 4 * (each - error.mean(1)).std() / math.sqrt(300)


def test_fewer_symbols_take_the_first_of_the_state() -> None:
    ofdm = Ofdm(Tdl("A", 30, 3), SMALL, front_end=FrontEnd(linewidth_hz=100))
    state, noise = ofdm.draw(1, 2000, dtype=torch.complex128, generator=seeded())
    assert state is not None
    x = symbols(1, 500)
    few = state[:, : 23 + 2 * (14 * 23 + 48 + 252)]  # of two slots
    n = noise[:, :500]
    assert torch.equal(ofdm(x, 9.0, h=state, noise=n).y, ofdm(x, 9.0, h=few, noise=n).y)
    with pytest.raises(ValueError, match="what its draw returns: for 500 symbols"):
        ofdm(x, 9.0, h=few[:, :-1], noise=n)


def test_images_do_not_touch_each_other() -> None:
    ofdm = Ofdm(Tdl("C", 30, 60), SMALL, front_end=FrontEnd(0.02, 1, 50, 6.0, "soft"))
    x, snr_db = symbols(3, 400), torch.tensor([1.0, 5.0, 20.0], dtype=torch.float64)
    state, noise = ofdm.draw(3, 400, dtype=torch.complex128, generator=seeded())
    assert state is not None
    whole = ofdm(x, snr_db, h=state, noise=noise)
    for i in range(3):
        one = slice(i, i + 1)
        part = ofdm(x[one], snr_db[one], h=state[one], noise=noise[one])
        for both in zip(whole, part, strict=True):
            torch.testing.assert_close(both[0][one], both[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "front_end",
    [FrontEnd(), FrontEnd(0.1, 5, 100, 3.0, "hard"), FrontEnd(clip_db=3, amplifier="soft")],
)
@pytest.mark.parametrize("estimation", ["perfect", "ls", "lmmse"])
def test_gradients(front_end: FrontEnd, estimation: str) -> None:
    grid = Grid(Numerology(16, 12, 4), Pilots((0, 2), 2, 3))
    ofdm = Ofdm(Tdl("A", 30, 300), grid, estimation, front_end)
    x = symbols(2, 20).requires_grad_()
    snr_db = torch.tensor([3.0, 9.0], dtype=torch.float64, requires_grad=True)
    state, noise = ofdm.draw(2, 20, dtype=torch.complex128, generator=seeded())

    def received(x: Tensor, snr_db: Tensor) -> tuple[Tensor, ...]:
        return tuple(channels.mmse(*ofdm(x, snr_db, h=state, noise=noise)))

    assert torch.autograd.gradcheck(received, (x, snr_db))


# The radios


@pytest.mark.parametrize("level_db", [-3.0, 0.0, 3.0, 6.0])
def test_gain_and_distortion_of_a_limiter(level_db: float) -> None:
    """Closed forms: a = 1 - exp(-g²) + sqrt(pi) g erfc(g) / 2, power after it 1 - exp(-g²)."""
    g = 10 ** (level_db / 20)
    gain = 1 - math.exp(-(g**2)) + math.sqrt(math.pi) / 2 * g * math.erfc(g)
    found = bussgang(level_db)
    assert found.gain == pytest.approx(gain, abs=1e-4)
    assert found.distortion == pytest.approx(1 - math.exp(-(g**2)) - gain**2, abs=1e-4)
    x = symbols(1, 200_000)
    y = clip(x, level_db)
    assert (y * x.conj()).real.mean().item() == pytest.approx(gain, abs=0.01)
    torch.testing.assert_close(y.abs(), x.abs().clamp_max(g))
    assert ((y / x).imag.abs() < 1e-12).all()


def test_a_soft_amplifier_is_linear_below_and_saturates_above() -> None:
    x = torch.tensor([0.01, 1.0, 100.0], dtype=torch.complex128)
    expected = [0.01, 2 ** (-1 / 6), 1.0]
    torch.testing.assert_close(clip(x, 0, "soft").real.tolist(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("level_db", [3.0, 6.0])
def test_clipping_in_the_channel(level_db: float) -> None:
    """Power is 1 again, the gain is Bussgang's over its root, and the rest is distortion."""
    ofdm = ofdm_awgn(estimation="perfect", clip_db=level_db)
    x = symbols(4, 20_000)
    y, h, noise_var = ofdm(x, math.inf, generator=seeded())
    assert power(y) == pytest.approx(1, abs=0.01)
    # Part of the distortion falls where no subcarrier is used: hence below all of it.
    whole = bussgang(level_db)
    share = power(y - h * x) / h[0, 0].abs().item() ** 2 / (whole.distortion / whole.gain**2)
    assert 0.6 < share < 1
    assert power(y - h * x) == pytest.approx(noise_var.mean().item(), rel=0.1)
    found = (y * x.conj()).real.mean().item() / power(x)
    assert found == pytest.approx(h[0, 0].real.item(), rel=0.01)


@pytest.mark.parametrize("offset", [0.05, 0.1, -0.3])
def test_offset_of_the_carrier(offset: float) -> None:
    """sin(pi e) / (F sin(pi e / F)) of the amplitude stays, and its power is lost to the others."""
    stays = math.sin(math.pi * offset) / (1024 * math.sin(math.pi * offset / 1024))
    x = symbols(4, 20_000)
    ofdm = ofdm_awgn(estimation="perfect", offset=offset)
    y, h, noise_var = ofdm(x, math.inf, generator=seeded())
    torch.testing.assert_close(h, torch.full_like(h, stays), rtol=1e-6, atol=1e-6)
    assert ofdm.turned == pytest.approx(1 - stays**2, rel=1e-6)
    assert power(y - h * x) == pytest.approx(1 - stays**2, rel=0.03)
    assert noise_var.mean().item() == pytest.approx((1 - stays**2) * stays**2, rel=1e-5)


def test_what_is_not_tracked_turns_from_symbol_to_symbol() -> None:
    ofdm = ofdm_awgn(estimation="perfect", offset=0.1, tracking=False, interleave=False)
    _, h, _ = ofdm(symbols(1, 8000), math.inf, generator=seeded())
    placed = ofdm.grid.place(h)
    turn = placed[0, 1, 0] / placed[0, 0, 0]
    assert torch.angle(turn).item() == pytest.approx(2 * math.pi * 0.1 * 1096 / 1024)


def test_phase_noise_grows_as_a_wiener_process() -> None:
    linewidth, numbers = 200.0, Numerology()
    ofdm = ofdm_awgn(estimation="perfect", linewidth_hz=linewidth, tracking=False)
    batch = 60
    state, _ = ofdm.draw(batch, 8000, dtype=torch.complex128, generator=seeded())
    assert state is not None
    like = torch.zeros(batch, 14, 624, dtype=torch.complex128)
    turn = ofdm._turned(ofdm.state(state, 8000), like)
    torch.testing.assert_close(turn.abs(), torch.ones_like(turn.real))
    for lag in (1, 100, 1000):
        change = torch.angle(turn[:, :, lag:] * turn[:, :, :-lag].conj())[:, :, ::lag].flatten()
        variance = 2 * math.pi * linewidth * lag / numbers.rate_hz
        assert abs(change.square().mean() - variance) < 4.5 * variance * math.sqrt(2 / len(change))
    assert phase_steps(linewidth, numbers.rate_hz) ** 2 == pytest.approx(
        2 * math.pi * linewidth / numbers.rate_hz
    )
    # What is lost to other subcarriers, for small angles: 2 pi linewidth / (6 spacing).
    assert ofdm.turned == pytest.approx(2 * math.pi * linewidth / 15e3 / 6, rel=0.02)
    tracked = ofdm_awgn(estimation="perfect", linewidth_hz=linewidth)
    y, h, _ = tracked(symbols(40, 8000), math.inf, generator=seeded())
    assert power(y - h * symbols(40, 8000)) == pytest.approx(tracked.turned, rel=0.16)


def test_a_slow_clock_is_a_ramp_over_frequency() -> None:
    ofdm = ofdm_awgn(estimation="perfect", sampling_ppm=20, interleave=False)
    _, h, _ = ofdm(symbols(1, 8000), math.inf, generator=seeded())
    placed = ofdm.grid.place(h)[0]
    cycles = (9 * 1096 + 548) * 20e-6 * 311 / 1024
    assert torch.angle(placed[9, 623]).item() == pytest.approx(2 * math.pi * cycles, rel=1e-6)


def test_kept_power_of_a_gain_that_stays_is_all() -> None:
    assert kept_power(torch.ones(9, dtype=torch.complex128), 9) == pytest.approx(1)
    assert kept_power(torch.eye(1, 9)[0].double() + 0j, 9) == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"estimation": "best"}, "estimation must be one of perfect, ls, lmmse"),
        ({"domain": "delay"}, "domain"),
        ({"offset": 0.6}, "offset"),
        ({"sampling_ppm": 1e3}, "sampling_ppm"),
        ({"linewidth_hz": -1}, "linewidth_hz"),
        ({"clip_db": math.nan}, "clip_db"),
        ({"amplifier": "tube"}, "amplifier must be hard or soft"),
        ({"pilot_spacing": 0}, "every"),
    ],
)
def test_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ofdm_awgn(**settings)


def test_oversampled_samples_do_not_change_with_the_grid() -> None:
    assert isinstance(Ofdm(Flat()).grid, Grid)
    assert to_time(symbols(1, 624)[:, None], Numerology(), 4).shape == (1, 1, 4096)


@pytest.mark.parametrize("estimation", ["perfect", "ls", "lmmse"])
def test_the_transmitter_is_told_what_is_left(estimation: str) -> None:
    """Mean power of the gain over that of y - h_hat x, without a gain that changes."""
    ofdm = ofdm_awgn(estimation=estimation, offset=0.1, clip_db=4.0)
    x = symbols(3, 3 * ofdm.grid.data_per_slot)
    y, h, _ = ofdm(x, 10.0, generator=seeded())
    gain = ofdm.kept * ofdm.amplifier.gain**2
    found = 10 * math.log10(gain / power(y - h * x))
    planned = ofdm.planned_db(torch.tensor([10.0, 20.0]))
    assert isinstance(planned, Tensor)
    assert planned[0].item() == pytest.approx(found, abs=0.1)
    assert planned[0] < 9.5 < planned[1]
    assert ofdm.planned_db(10.0) == pytest.approx(planned[0].item(), abs=1e-5)


def test_an_ideal_link_is_told_as_it_is() -> None:
    assert channels.AWGN().planned_db(7.0) == channels.Rayleigh().planned_db(7.0) == 7.0
    assert ofdm_awgn(estimation="perfect").planned_db(7.0) == pytest.approx(7.0)
    left = (1 - 0.1) / (0.1 + 0.1)
    assert channels.Estimated(0.1).planned_db(10.0) == pytest.approx(10 * math.log10(left))


def test_interleaving_spreads_strong_symbols() -> None:
    """A burst of strong symbols clips; spread over the grid it is as all others are."""
    x = symbols(1, 16_000)
    x[:, :1000] *= 4
    x, _ = channels.normalise_power(x)
    lost = {}
    for interleave in (True, False):
        ofdm = ofdm_awgn(estimation="perfect", clip_db=3.0, interleave=interleave)
        y, h, _ = ofdm(x, math.inf, generator=seeded())
        lost[interleave] = power(y - h * x) / ofdm.amplifier.distortion
        straight = ofdm_awgn(estimation="perfect", interleave=interleave)
        torch.testing.assert_close(straight(x, math.inf).y, x)
    assert lost[True] == pytest.approx(1, abs=0.2)
    assert lost[False] > 5
