"""Tapped and clustered delay lines against TR 38.901, J0 and Sionna."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import special, stats

from channels.tdl import LINE_OF_SIGHT, PROFILES, Flat, Tdl, doppler_hz, scaled

MODELS = tuple(PROFILES)
F_D = doppler_hz(120, 3.5)
PERIOD_S = 1 / 14e3


def taps(model: str, batch: int, times: int, step_s: float, **settings: Any) -> torch.Tensor:
    line = Tdl(model, 300, 120, 3.5, **settings)
    generator = torch.Generator().manual_seed(7)
    return line.gains(batch, times, step_s, dtype=torch.complex128, generator=generator)


def test_rows_of_the_tables() -> None:
    """Some of tables 7.7.2-1 to 7.7.2-5, as they are printed."""
    assert [len(PROFILES[m].delays) for m in MODELS] == [23, 23, 24, 13, 14]
    assert (PROFILES["A"].delays[1], PROFILES["A"].powers_db[1]) == (0.3819, 0.0)
    assert (PROFILES["A"].delays[22], PROFILES["A"].powers_db[22]) == (9.6586, -29.7)
    assert (PROFILES["B"].delays[15], PROFILES["B"].powers_db[15]) == (1.7842, -1.9)
    assert (PROFILES["C"].delays[23], PROFILES["C"].powers_db[23]) == (8.6523, -22.8)
    assert (PROFILES["D"].delays[12], PROFILES["D"].powers_db[12]) == (12.525, -27.7)
    assert (PROFILES["E"].delays[13], PROFILES["E"].powers_db[13]) == (20.6519, -29.2)


@pytest.mark.parametrize("model", MODELS)
def test_the_delay_spread_is_what_the_tables_are_normalised_to(model: str) -> None:
    line = Tdl(model, 1e9)
    mean = float((line.powers * line.delays_s).sum())
    spread = math.sqrt(float((line.powers * (line.delays_s - mean) ** 2).sum()))
    assert spread == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("model", "k_factor_db"), [("D", 13.3), ("E", 22.0)])
def test_k_factor_of_the_first_tap(model: str, k_factor_db: float) -> None:
    _, scatter, sight = scaled(PROFILES[model])
    assert 10 * math.log10(sight / float(scatter[0])) == pytest.approx(k_factor_db, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_tables_against_those_of_sionna(model: str) -> None:
    sionna = importlib.util.find_spec("sionna")  # found, not imported, which takes seconds
    if sionna is None or sionna.origin is None:
        pytest.skip("Sionna is not installed")
    folder = Path(sionna.origin).parent / "phy/channel/tr38901/models"
    table = json.loads((folder / f"TDL-{model}.json").read_text())
    profile = PROFILES[model]
    first = int(table["los"])  # a line of sight is a row of its own there
    assert profile.delays == tuple(table["delays"][first:])
    assert profile.powers_db == tuple(table["powers"][first:])
    if first:
        assert profile.line_of_sight_db == table["powers"][0]


@pytest.mark.parametrize("model", ["A", "D"])
def test_powers_of_the_taps(model: str) -> None:
    batch = 20_000
    found = taps(model, batch, 1, PERIOD_S)[:, 0].abs().square()
    line = Tdl(model)
    variance = found.var(0)
    assert ((found.mean(0) - line.powers).abs() < 4.5 * (variance / batch).sqrt()).all()
    assert float(line.powers.sum()) == pytest.approx(1)


def test_each_tap_is_rayleigh_even_of_few_waves() -> None:
    found = taps("A", 20_000, 2, 0.3, sinusoids=4)[:, 1, 1].abs().square()
    power = float(Tdl("A").powers[1])
    assert stats.kstest((found / power).numpy(), stats.expon.cdf).pvalue > 1e-4


@pytest.mark.parametrize("sinusoids", [3, 20])
def test_autocorrelation_of_the_taps_is_j0(sinusoids: int) -> None:
    batch, times = 1000, 60
    found = taps("A", batch, times, PERIOD_S, sinusoids=sinusoids)
    line = Tdl("A")
    lags = torch.arange(times, dtype=torch.float64) * PERIOD_S  # f_d tau to 1.7: through four zeros
    expected = special.j0(2 * math.pi * F_D * lags.numpy())
    each = (found * found[:, :1].conj()) / line.powers  # (B, T, P)
    mean, error = each.mean((0, 2)), each.std((0, 2)) / math.sqrt(batch * 23)
    assert (abs(mean.real.numpy() - expected) < 4.5 * error.numpy()).all()
    assert (mean.imag.abs() < 4.5 * error).all()
    assert abs(expected).max() > 10 * error.max()  # else it would say nothing
    # PyTorch's J0 is good to 4e-7 beside the zeros.
    known = Tdl("A", 300, 120, 3.5).over_time(lags)
    torch.testing.assert_close(known, torch.from_numpy(expected) + 0j, rtol=0, atol=1e-6)


def test_autocorrelation_with_a_line_of_sight() -> None:
    batch, times = 4000, 40
    found = taps("D", batch, times, PERIOD_S)
    _, scatter, sight = scaled(PROFILES["D"])
    phase = 2 * math.pi * F_D * torch.arange(times, dtype=torch.float64) * PERIOD_S
    expected = float(scatter[0]) * torch.special.bessel_j0(phase)
    expected = expected + sight * torch.exp(1j * LINE_OF_SIGHT * phase)
    each = found[:, :, 0] * found[:, :1, 0].conj()
    error = each.std(0) / math.sqrt(batch)
    assert ((each.mean(0) - expected).abs() < 4.5 * error).all()


def test_the_response_in_frequency_is_the_transform_of_the_powers() -> None:
    line = Tdl("C", 300)
    lag = torch.tensor([0.0, 15e3, 2e5])
    expected = [
        sum(
            float(p) * complex(math.cos(a), -math.sin(a))
            for p, d in zip(line.powers, line.delays_s, strict=True)
            for a in [2 * math.pi * float(d) * f]
        )
        for f in lag.tolist()
    ]
    torch.testing.assert_close(
        line.over_frequency(lag), torch.tensor(expected, dtype=torch.complex128)
    )


def test_the_same_seed_draws_the_same_taps_and_images_have_their_own() -> None:
    assert torch.equal(taps("A", 3, 5, PERIOD_S), taps("A", 3, 5, PERIOD_S))
    found = taps("A", 4000, 1, PERIOD_S)[:, 0]
    product = found[1:] * found[:-1].conj()
    assert (product.mean(0).abs() < 4.5 * product.abs().square().mean(0).sqrt() / 63).all()


def test_without_speed_nothing_changes() -> None:
    found = Tdl("A", 300, 0).gains(2, 9, PERIOD_S, dtype=torch.complex128)
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert torch.equal(Flat().gains(2, 3, 1.0), torch.ones(2, 3, 1, dtype=torch.complex64))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (("F",), "model must be one of A, B, C, D, E"),
        (("A", -1.0), "delay_spread_ns"),
        (("A", 30.0, math.nan), "speed_kmh"),
        (("A", 30.0, 3.0, "3.5"), "carrier_ghz"),
        (("A", 30.0, 3.0, 3.5, 0), "sinusoids"),
    ],
)
def test_refused(settings: tuple[Any, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Tdl(*settings)


@pytest.mark.slow
def test_sionna_draws_the_same_channel() -> None:
    """Second moments over time of ours and of Sionna's own TDL."""
    tr38901 = pytest.importorskip("sionna.phy.channel.tr38901")
    batch, times = 2000, 20
    theirs = tr38901.TDL("A", 300e-9, 3.5e9, min_speed=120 / 3.6)
    a, tau = theirs(batch, times, 1 / PERIOD_S)
    other = torch.from_numpy(a.numpy()[:, 0, 0, 0, 0]).mT
    ours = taps("A", batch, times, PERIOD_S)
    for found in (ours, other):
        each = (found * found[:, :1].conj()).sum(2)
        error = each.std(0) / math.sqrt(batch)
        expected = Tdl("A", 300, 120, 3.5).over_time(torch.arange(times) * PERIOD_S)
        assert ((each.mean(0) - expected).abs() < 4.5 * error).all()
    delays = torch.from_numpy(tau.numpy()[0, 0, 0]).double()
    torch.testing.assert_close(delays, Tdl("A", 300).delays_s, rtol=1e-5, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["A", "D"])
def test_clustered_delay_lines(model: str) -> None:
    pytest.importorskip("sionna")
    from channels.cdl import Cdl

    line, batch = Cdl(model, 300, 120), 400
    draws = [
        line.gains(batch, 5, PERIOD_S, generator=torch.Generator().manual_seed(s))
        for s in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    whole = draws[0].abs().square().sum(2).double()
    assert abs(whole.mean() - 1) < 4.5 * whole.mean(1).std() / math.sqrt(batch)
    assert float(line.powers.sum()) == pytest.approx(1)
    by_path = draws[0][:, 0].abs().square().double()
    assert ((by_path.mean(0) - line.powers).abs() < 5 * by_path.std(0) / math.sqrt(batch)).all()
