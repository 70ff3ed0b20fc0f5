"""Names of users' own things: files, settings, and what is said where there is none."""

from fractions import Fraction
from pathlib import Path

import pytest

import channels
from witt.errors import InputError
from witt.registry import CHANNELS, Registry, parse


def test_names_and_settings() -> None:
    assert parse("rayleigh") == ("rayleigh", {})
    assert parse("rician:k_factor_db=3:coherence=null") == (
        "rician",
        {"k_factor_db": 3, "coherence": None},
    )
    assert parse("./a.py:Mine:p=0.05:mode=soft") == ("./a.py:Mine", {"p": 0.05, "mode": "soft"})
    assert parse("hevc+ldpc:4qam-1/2") == ("hevc+ldpc:4qam-1/2", {})
    with pytest.raises(InputError, match=r"as in ./a.py:MyClass"):
        parse("./a.py")


def test_built_in_and_given() -> None:
    assert CHANNELS.find("awgn") is channels.AWGN
    assert CHANNELS.make("rician:k_factor_db=3").k_factor_db == 3
    own = Registry("channel", "witt.none", {})
    own.register("mine")(Fraction)
    assert own.make("mine:numerator=3:denominator=6") == Fraction(1, 2)
    with pytest.raises(InputError, match=r"unknown channel 'laser': choose from mine, or name"):
        own.find("laser")
    with pytest.raises(InputError, match="channel awgn:p=1"):
        CHANNELS.make("awgn:p=1")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from beside import VALUE\nclass Own:\n    def __init__(self, p=1): self.p = p * VALUE\n"
    )
    assert CHANNELS.make(f"{file}:Own:p=2").p == 14
    assert CHANNELS.find(f"{file}:Own") is CHANNELS.find(f"{file}:Own")
    with pytest.raises(InputError, match="has nothing called Other"):
        CHANNELS.find(f"{file}:Other")
    with pytest.raises(InputError, match="no such file"):
        CHANNELS.find(f"{tmp_path / 'none.py'}:Own")
    broken = tmp_path / "broken.py"
    broken.write_text("1/0\n")
    with pytest.raises(InputError, match="cannot be loaded: ZeroDivisionError"):
        CHANNELS.find(f"{broken}:Own")
