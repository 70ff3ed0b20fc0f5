"""What a request asks beyond what the weights were trained for."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import witt
from witt.errors import InputError
from witt.link.conditions import Link
from witt.link.requests import check_request, trained_channels
from witt.store.weights import load_weights, resolve

AWGN, RAYLEIGH, RICIAN = Link(), Link("rayleigh"), Link("rician")
BLOCK = Link("rayleigh", "block", 8)


def said(weights: Path | str, links: list[Link], **changes: Any) -> list[str]:
    """What is said of links; the warnings are the same sentences."""
    model, training = load_weights(resolve(weights))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = check_request(model, [10], [0.0625], links, {**training, **changes})
    assert [str(warning.message) for warning in caught] == found
    return found


def test_snrs_and_rates(weights: Path) -> None:
    model = witt.load(weights)
    assert check_request(model, [-2, 20], [1 / 48, 1 / 16, 1 / 8]) == []
    with pytest.raises(InputError, match=r"0\.02083 to 0\.125"):
        check_request(model, [10], [1 / 16, 1 / 4])
    with pytest.warns(UserWarning, match="SNR 30, -5 dB is outside the -2 to 20 dB"):
        check_request(model, [10, 30, -5], [1 / 16])


def test_channels_of_the_shipped_weights() -> None:
    """Records of `witt train`, and that of witt_base in words."""
    for name in ("witt_base", "witt_light", "deepjscc"):
        assert said(name, [AWGN, RAYLEIGH]) == []
    (line,) = said("witt_base", [RICIAN])
    assert line.endswith("it knows AWGN and Rayleigh")
    (line,) = said("witt_light", [RICIAN])
    assert line.endswith("it knows AWGN and Rayleigh")


def test_weights_that_saw_noise_alone() -> None:
    """Over fading such a CNN is below what no network reaches."""
    noise = {"config": {"channel": ["awgn"]}}
    assert said("deepjscc", [AWGN], **noise) == []
    assert said("deepjscc", [AWGN, RAYLEIGH, RICIAN], **noise) == [
        "Rayleigh, fast fading is a channel that deepjscc was not trained for: it knows AWGN",
        "Rician K = 6 dB, fast fading is a channel that deepjscc was not trained for: "
        "it knows AWGN",
    ]


def test_fading_is_as_trained() -> None:
    (line,) = said("witt_light", [RAYLEIGH, BLOCK])
    assert line.startswith("Rayleigh, block fading (8 symbols) is a channel")
    assert line.endswith("it knows Rayleigh, fast fading")
    rician = {"config": {"channel": ["rician"]}}
    assert said("witt_light", [RICIAN], **rician) == []
    (line,) = said("witt_light", [Link("rician", k_factor_db=0.0)], **rician)
    assert line.endswith("it knows Rician K = 6 dB, fast fading")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"config": {"channel": ["awgn", "awgn", "rayleigh"]}}, ({"awgn", "rayleigh"}, True)),
        ({"channel": "3 of 4 AWGN, 1 of 4 Rayleigh"}, ({"awgn", "rayleigh"}, False)),
        (
            {"config": {"channel": ["awgn"]}, "before": {"channel": "Rician"}},
            ({"awgn", "rician"}, False),
        ),
        ({"config": {"channel": "awgn"}}, (set(), True)),
        ({"config": {"channel": ["laser"]}, "before": {"steps": 0}}, ({"laser"}, True)),
        ({"config": None, "before": "a run before"}, (set(), True)),
        ({}, (set(), True)),
    ],
)
def test_records(record: dict[str, Any], expected: tuple[set[str], bool]) -> None:
    assert trained_channels(record) == expected


def test_of_what_is_not_known_nothing_is_said() -> None:
    assert said("witt_light", [RAYLEIGH, RICIAN, BLOCK], config={}) == []
    # A record in words has the channel, not how it faded.
    words = {"config": {}, "channel": "Rayleigh fading at random"}
    assert said("witt_light", [BLOCK], **words) == []
    (line,) = said("witt_light", [AWGN], **words)
    assert line == "AWGN is a channel that witt_light was not trained for: it knows Rayleigh"


def test_pictures_too_small_for_the_rate(weights: Path) -> None:
    model = witt.load(weights)
    sizes = [(1, 1), (32, 32), (1, 1)]
    with pytest.warns(UserWarning, match="1x1 pixels cannot be sent at CBR"):
        found = check_request(model, [10], [1 / 16, 1 / 8], sizes=sizes)
    assert [line.split(":")[0] for line in found] == [
        "a picture of 1x1 pixels cannot be sent at CBR 0.0625",
        "a picture of 1x1 pixels cannot be sent at CBR 0.125",
    ]
