"""Tables of block error rates: files, cache, and when a simulation stops. Without Sionna."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ldpc import error_rates
from benchmarks.ldpc.error_rates import block_error_rate, count_errors, fill
from benchmarks.ldpc.modes import MODES, parse_mode
from benchmarks.ldpc.table import (
    FORMAT,
    SHIPPED,
    Curve,
    Rate,
    Table,
    cache_file,
    channel_key,
    curve_of,
    known,
    read_table,
    write_table,
)
from channels import theory
from witt.errors import InputError
from witt.link.conditions import Link
from witt.lock import sole_writer

MODE = parse_mode("16qam-1/2")
CURVE = curve_of(Link(), MODE, 6144)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """SNRs that were simulated, of a code with a cliff at 7 dB; nothing shipped, an empty cache."""
    calls: list[float] = []

    def simulate(link: Link, mode: object, snr_db: float, block_length: int = 6144) -> Rate:
        calls.append(snr_db)
        time.sleep(0.02)
        return Rate(100, 100) if snr_db < 7 else Rate(7, 2000) if snr_db < 8 else Rate(0, 2000)

    monkeypatch.setattr(error_rates, "simulate", simulate)
    monkeypatch.setattr(error_rates, "_shipped", dict)
    monkeypatch.setenv("WITT_CACHE", str(tmp_path / "cache"))
    return calls


@pytest.mark.parametrize(
    ("link", "key"),
    [
        (Link(), "awgn"),
        (Link("awgn", "block", 7), "awgn"),
        (Link("rayleigh"), "rayleigh-fast"),
        (Link("rayleigh", "block", 1), "rayleigh-fast"),
        (Link("rayleigh", "block"), "rayleigh-block-image"),
        (Link("rician", "block", 64, -2.5), "rician--2.5dB-block-64"),
    ],
)
def test_channels_that_differ_have_different_names(link: Link, key: str) -> None:
    assert channel_key(link) == key


def test_a_channel_of_ones_own_is_told_by_its_parameters() -> None:
    class Tropo(Link):
        hops = 3

        def record(self) -> dict[str, object]:
            return {"channel": "tropo", "fading": None, "hops": self.hops}

    class Longer(Tropo):
        hops = 4

    three, four = channel_key(Tropo()), channel_key(Longer())
    assert three != four
    assert three == channel_key(Tropo())
    assert Link().channel not in (three, four)


def test_tables_come_back(tmp_path: Path) -> None:
    table: Table = {
        CURVE: {-2.0: Rate(100, 100), 7.125: Rate(3, 2000), 8.0: Rate(0, 2000)},
        Curve("rayleigh-fast", "4qam-1/3", 768): {10.333333: Rate(101, 650)},
    }
    path = tmp_path / "table.json"
    write_table(path, table, method={"iterations": 20})
    assert read_table(path) == table
    assert json.loads(path.read_text())["method"] == {"iterations": 20}
    assert read_table(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cut short"),
        ('{"format": "' + FORMAT + '", "curves": [{"channel": "aw', "cut short"),
        ("[]", "another version"),
        ('{"format": "witt-block-error-rates-0", "curves": []}', "another version"),
        ('{"format": "' + FORMAT + '"}', "damaged"),
        ('{"format": "' + FORMAT + '", "curves": [{"channel": "awgn"}]}', "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("point", ["3", "5/4", "0/0", "-1/9", "1/2/3"])
def test_impossible_points_are_refused(tmp_path: Path, point: str) -> None:
    path = tmp_path / "table.json"
    curve = {**CURVE._asdict(), "errors_of_blocks": {"1": point}}
    path.write_text(json.dumps({"format": FORMAT, "curves": [curve]}))
    with pytest.raises(InputError, match="damaged"):
        read_table(path)


def test_what_is_plain_from_other_points() -> None:
    points = {1.0: Rate(100, 100), 2.0: Rate(100, 100), 3.0: Rate(9, 2000), 4.0: Rate(0, 2000)}
    assert known(points, 3.0) == Rate(9, 2000)
    assert known(points, -9.0) == Rate(100, 100)
    assert known(points, 1.5) == Rate(100, 100)
    assert known(points, 30.0) == Rate(0, 2000)
    # Nothing is interpolated in between.
    assert known(points, 2.5) is None
    assert known(points, 3.5) is None


def test_a_point_is_simulated_once_and_cached(simulated: list[float]) -> None:
    assert block_error_rate(Link(), MODE, 7.5) == Rate(7, 2000)
    assert block_error_rate(Link(), MODE, 7.5).bler == pytest.approx(0.0035)
    assert simulated == [7.5]
    assert read_table(cache_file(CURVE)) == {CURVE: {7.5: Rate(7, 2000)}}
    # Another SNR, block length or channel is another point; what is there stays.
    block_error_rate(Link(), MODE, 7.25)
    block_error_rate(Link(), MODE, 7.5, 768)
    block_error_rate(Link("rayleigh"), MODE, 7.5)
    assert simulated == [7.5, 7.25, 7.5, 7.5]
    assert set(read_table(cache_file(CURVE))[CURVE]) == {7.25, 7.5}
    # Above an SNR without a lost block nothing is simulated, nor below one that loses all.
    block_error_rate(Link(), MODE, 8.0)
    block_error_rate(Link(), MODE, 6.0)
    assert len(simulated) == 6
    assert block_error_rate(Link(), MODE, 25.0).bler == 0
    assert block_error_rate(Link(), MODE, -25.0).bler == 1
    assert len(simulated) == 6


def test_snrs_are_the_same_point_up_to_rounding(simulated: list[float]) -> None:
    for snr_db in (7.1 + 0.2, 7.3, 7.300000049):
        block_error_rate(Link(), MODE, snr_db)
    assert len(simulated) == 1


def test_the_shipped_table_comes_first(
    simulated: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_rates, "_shipped", lambda: {CURVE: {7.5: Rate(1, 2000)}})
    assert block_error_rate(Link(), MODE, 7.5) == Rate(1, 2000)
    assert not simulated


def test_processes_wait_for_each_other(simulated: list[float]) -> None:
    pytest.importorskip("fcntl")
    with ThreadPoolExecutor(4) as pool:
        rates = list(pool.map(lambda _: block_error_rate(Link(), MODE, 7.5), range(4)))
    assert rates == [Rate(7, 2000)] * 4
    assert simulated == [7.5]


def test_a_cache_of_another_version_is_refused(simulated: list[float]) -> None:
    path = cache_file(CURVE)
    path.parent.mkdir(parents=True)
    path.write_text('{"format": "witt-block-error-rates-99", "curves": []}')
    with pytest.raises(InputError, match="another version"):
        block_error_rate(Link(), MODE, 7.5)
    assert not simulated


def test_a_cache_that_cannot_be_written(
    simulated: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WITT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="WITT_CACHE"):
        block_error_rate(Link(), MODE, 7.5)


@pytest.mark.parametrize(
    ("lost", "rate", "batches"),
    [
        (lambda n: n, Rate(100, 100), [50, 50]),
        (lambda n: n // 2, Rate(100, 200), [50] * 4),
        (lambda n: 0, Rate(0, 2000), [50] * 40),
        # The 100th error ends it with the batch.
        (lambda n: 33, Rate(132, 200), [50] * 4),
    ],
)
def test_when_a_simulation_stops(
    lost: Callable[[int], int], rate: Rate, batches: list[int]
) -> None:
    calls: list[int] = []

    def count(blocks: int) -> int:
        calls.append(blocks)
        return lost(blocks)

    assert count_errors(count, 100, 2000) == rate
    assert calls == batches


def test_the_last_batch_may_be_short() -> None:
    assert count_errors(lambda n: n, 1000, 120) == Rate(120, 120)


def test_filling_goes_up_to_the_first_lossless_snr(simulated: list[float]) -> None:
    table: Table = {CURVE: {5.0: Rate(100, 100)}}
    seen: list[float] = []
    fill(table, Link(), MODE, [9.0, 8.5, 8.0, 7.5, 6.0, 5.0, 4.0], lambda s, _: seen.append(s))
    # 5 dB is there and loses all, so 4 dB does; 8 dB loses none, so 8.5 and 9 dB lose none.
    assert simulated == seen == [6.0, 7.5, 8.0]
    assert set(table[CURVE]) == {5.0, 6.0, 7.5, 8.0}


def test_the_command_adds_to_a_file(simulated: list[float], tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    args = ["--channel", "awgn", "--snr", "6:9:1", "--mode", "4qam-1/2,16qam-1/2"]
    for _ in range(2):
        result = CliRunner().invoke(error_rates.command, [*args, "--out", str(path)])
        assert result.exit_code == 0, result.output
    assert simulated == [6.0, 7.0, 8.0] * 2
    assert {curve.mode for curve in read_table(path)} == {"4qam-1/2", "16qam-1/2"}
    with sole_writer(path):
        result = CliRunner().invoke(error_rates.command, [*args, "--out", str(path)])
    assert result.exit_code != 0
    assert "another witt process is writing it" in result.output
    result = CliRunner().invoke(error_rates.command, ["--mode", "5qam-1/2", "--out", str(path)])
    assert result.exit_code != 0
    assert "16qam-2/3" in result.output


# The shipped table. Slow until the table is filled: these fail while points are missing.

# Es/N0 in dB at which at most one block in a hundred is lost, within 0.5 dB (issue 3).
REFERENCE = [
    ("awgn", "4qam-1/2", 1.5),
    ("awgn", "4qam-2/3", 3.5),
    ("awgn", "16qam-1/2", 7.0),
    ("awgn", "16qam-2/3", 9.5),
    ("rayleigh-fast", "4qam-1/2", 3.5),
    ("rayleigh-fast", "16qam-1/2", 9.0),
]


@pytest.mark.parametrize("channel", ["awgn", "rayleigh-fast"])
@pytest.mark.parametrize("mode", MODES)
def test_shipped_rates_fall_with_the_snr(channel: str, mode: str) -> None:
    points = sorted(read_table(SHIPPED)[Curve(channel, mode, 6144)].items())
    for (_, worse), (_, better) in pairwise(points):
        variance = sum((r.bler * (1 - r.bler) + 1 / r.blocks) / r.blocks for r in (worse, better))
        assert better.bler <= worse.bler + 4 * variance**0.5
    # From all lost to none lost, so that no SNR outside is ever simulated.
    assert points[0][1].bler == 1
    assert points[-1][1] == Rate(0, 2000)
    assert all(rate.errors >= 100 or rate.blocks == 2000 for _, rate in points)


@pytest.mark.parametrize(("channel", "mode", "reference_db"), REFERENCE)
def test_shipped_rates_meet_the_reference_points(
    channel: str, mode: str, reference_db: float
) -> None:
    points = read_table(SHIPPED)[Curve(channel, mode, 6144)]
    threshold = min(snr for snr, rate in points.items() if rate.bler <= 1e-2)
    assert abs(threshold - reference_db) <= 0.5


@pytest.mark.parametrize("mode", MODES)
def test_no_shipped_rate_beats_capacity(mode: str) -> None:
    bits = float(parse_mode(mode).rate * parse_mode(mode).bits_per_symbol)
    for channel, capacity in (
        ("awgn", theory.awgn_capacity),
        ("rayleigh-fast", theory.rayleigh_ergodic_capacity),
    ):
        points = read_table(SHIPPED)[Curve(channel, mode, 6144)]
        works = [snr for snr, rate in points.items() if rate.bler < 0.9]
        assert float(capacity(min(works))) > bits
