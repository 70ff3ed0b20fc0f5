"""The types of the options: what they take, and what they say of what they do not take."""

import math
from typing import Any

import click
import pytest

from witt.commands.options import CbrListType, CbrType, ChannelListType, SnrType, SnrValueType
from witt.device import pick_device
from witt.errors import InputError
from witt.link.values import Cbr, SnrSpec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", SnrSpec((10.0,))),
        ("-2", SnrSpec((-2.0,))),
        ("1,4, 7", SnrSpec((1.0, 4.0, 7.0))),
        ("0:20", SnrSpec((0.0, 20.0), is_range=True)),
        ("-2:4:2", SnrSpec((-2.0, 0.0, 2.0, 4.0))),
        ("0:1:0.3", SnrSpec((0.0, 0.3, 0.6, 0.9))),
        ("-0", SnrSpec((0.0,))),
        ([1, 4.5], SnrSpec((1.0, 4.5))),
        (7, SnrSpec((7.0,))),
        (SnrSpec((1.0,)), SnrSpec((1.0,))),
    ],
)
def test_snr(text: Any, expected: SnrSpec) -> None:
    assert SnrType().convert(text, None, None) == expected


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1, SnrType().convert("-0", None, None).values[0]) == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nan", "'nan'"),
        ("inf", "'inf'"),
        ("1,-inf", "'-inf' in '1,-inf'"),
        ("loud", "'loud'"),
        ("", "''"),
        ("1,", "''"),
        ("1e9", "'1e9'"),
        ("101", "-100 to 100"),
        ("5:1", "'5:1'"),
        ("1:1", "'1:1'"),
        ("1:2:3:4", "'1:2:3:4'"),
        ("0:1:0", "above 0"),
        ("0:1:-1", "above 0"),
        ("0:100:0.0001", "fewer than 1000"),
    ],
)
def test_bad_snr(text: str, named: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        SnrType().convert(text, None, None)
    assert named in error.value.message


@pytest.mark.parametrize("text", ["nan", "inf", "loud", "1,2", "0:3"])
def test_bad_single_snr(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not an SNR"):
        SnrValueType().convert(text, None, None)


def test_points_of_a_range() -> None:
    assert SnrSpec((0.0, 3.0), is_range=True).points() == (0.0, 1.0, 2.0, 3.0)
    assert SnrSpec((0.0, 2.5), is_range=True).points() == (0.0, 1.0, 2.0, 2.5)
    assert SnrSpec((1.0, 4.0)).points() == (1.0, 4.0)


def test_cbr_keeps_its_text() -> None:
    third, decimal = CbrListType().convert("1/3, 0.0625", None, None)
    assert (third, third.value) == ("1/3", 1 / 3)
    assert (decimal, decimal.value) == ("0.0625", 1 / 16)
    assert CbrListType().convert(["1/16", "1/16"], None, None) == ("1/16", "1/16")
    assert CbrType().convert("1/16", None, None) == Cbr("1/16")


@pytest.mark.parametrize(
    "text",
    ["0", "1/0", "0/5", "-1/16", "nan", "inf", "2", "17/16", "a/b", "", "1/16/2", "1e999999999"],
)
def test_bad_cbr(text: str) -> None:
    for kind in (CbrType(), CbrListType()):
        with pytest.raises(click.BadParameter) as error:
            kind.convert(text, None, None)
        assert f"{text!r} is not a CBR" in error.value.message


def test_channels() -> None:
    assert ChannelListType().convert("AWGN, rayleigh", None, None) == ("awgn", "rayleigh")
    with pytest.raises(click.BadParameter, match="unknown channel 'laser': choose from awgn"):
        ChannelListType().convert("awgn,laser", None, None)


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu").type == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(InputError, match="device cuda: PyTorch finds none"):
        pick_device("cuda")
    with pytest.raises(InputError, match="'tpu'"):
        pick_device("tpu")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert pick_device("auto").type == "cpu"  # Apple's GPU has to be named
    assert pick_device("mps").type == "mps"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
