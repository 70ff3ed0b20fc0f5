"""Which of the shipped weights sends: by what was measured, and between it."""

from fractions import Fraction

import pytest

from witt.link import choice
from witt.link.choice import CANDIDATES, choose, scores
from witt.store.weights import shipped

FLAT = {"1/16": {"1": 20.0, "7": 26.0}, "1/4": {"1": 30.0, "7": 36.0}}
STEEP = {"1/16": {"1": 22.0, "7": 25.0}, "1/4": {"1": 32.0, "7": 35.0}}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {
        "psnr_db": {
            "witt_light": {"awgn": FLAT, "rayleigh": FLAT},
            "witt_base": {"awgn": STEEP, "rayleigh": FLAT},
        },
        "seconds": {"witt_light": 0.5, "witt_base": 2.5},
    }
    monkeypatch.setattr(choice, "scores", lambda: table)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("snr_db", "cbr", "name", "gain_db", "time"),
    [
        (1, 1 / 16, "witt_base", 2.0, 0.2),
        (7, 1 / 16, "witt_light", 1.0, 5.0),
        (3, 1 / 16, "witt_base", 1.0, 0.2),  # a third of the way: 2 − 3/3
        (6, 1 / 8, "witt_light", 0.5, 5.0),  # half way between the rates, in their logarithm
        (-5, 1 / 100, "witt_base", 2.0, 0.2),  # beyond: the nearest
    ],
)
def test_the_better_of_the_two(
    snr_db: float, cbr: float, name: str, gain_db: float, time: float
) -> None:
    found = choose(snr_db, cbr, fades=False)
    assert found.name == name
    assert {found.name, found.other} == set(CANDIDATES)
    assert found.gain_db == pytest.approx(gain_db)
    assert found.time == pytest.approx(time)
    assert str(found).startswith(f"{name} sends: ")


def test_what_ships_is_measured() -> None:
    table = scores()
    assert set(table["psnr_db"]) == set(table["seconds"]) == set(CANDIDATES) <= set(shipped())
    for name in CANDIDATES:
        for channel in ("awgn", "rayleigh"):
            rates = table["psnr_db"][name][channel]
            assert list(rates) == sorted(rates, key=Fraction)
            for row in rates.values():  # more SNR is better
                assert list(row.values()) == sorted(row.values())
