"""Configurations: the sizes of the presets, what is refused, and JSON."""

import json
import math
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import witt
from witt.codecs.classified.config import ClassifiedConfig
from witt.codecs.deepjscc import DeepJSCCConfig
from witt.codecs.feature_config import channels_for_cbr
from witt.codecs.presets import CONFIGS, preset
from witt.codecs.witt import WITTConfig
from witt.store.making import from_values, to_values

PLAIN = WITTConfig("plain", dims=(8, 12), depths=(1, 1), heads=(2, 3), channels=8)


def test_names_are_the_keys() -> None:
    assert {name: config.name for name, config in CONFIGS.items()} == {n: n for n in CONFIGS}


@pytest.mark.parametrize(
    ("name", "stride", "cbr"),
    [
        # C / (2·3·4^S) of the papers: C = 96 over stride 16, C = 32 over stride 4.
        ("witt_base", 16, Fraction(1, 16)),
        ("witt_small", 16, Fraction(1, 16)),
        ("witt_large", 16, Fraction(1, 16)),
        ("witt_cifar", 4, Fraction(1, 3)),
        ("deepjscc", 4, Fraction(1, 16)),
    ],
)
def test_stride_and_cbr(name: str, stride: int, cbr: Fraction) -> None:
    assert CONFIGS[name].stride == stride
    assert CONFIGS[name].max_cbr == pytest.approx(float(cbr), rel=1e-12)


def test_published_presets_adapt_to_snr_only() -> None:
    for name in ("witt_base", "witt_small", "witt_large", "witt_cifar"):
        config = CONFIGS[name]
        assert not config.rate_adaptive
        assert type(config) is WITTConfig
        assert (config.modnet_layers, config.modnet_ratio) == (7, 1.5)
        assert config.served_cbr == (config.max_cbr, config.max_cbr)


def test_served_cbr() -> None:
    assert replace(PLAIN, rate_adaptive=True).served_cbr == (2 / 96, 8 / 96)
    assert replace(PLAIN, cbr_range=(0.03, 0.05)).served_cbr == (0.03, 0.05)
    assert CONFIGS["witt_light"].served_cbr == (1 / 48, 1 / 8)


@pytest.mark.parametrize("name", CONFIGS)
def test_survives_json(name: str) -> None:
    config = CONFIGS[name]
    back = type(config).from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert hash(back) == hash(config)  # lists became tuples again


def test_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PLAIN.window = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"depths": (1,)}, "one entry for each stage"),
        ({"dims": (), "depths": (), "heads": ()}, "one entry for each stage"),
        ({"heads": (3, 3)}, "width 8 cannot have 3 heads"),
        ({"heads": (0, 3)}, "width 8 cannot have 0 heads"),
        ({"depths": (0, 1)}, "at least 1"),
        ({"window": 0}, "at least 1"),
        ({"patch": 0}, "at least 1"),
        ({"modnet_layers": 0}, "at least 1"),
        ({"modnet_ratio": 0.1}, "modnet_ratio 0.1"),
        ({"modnet_ratio": float("inf")}, "modnet_ratio inf"),
        ({"modnet_ratio": float("nan")}, "modnet_ratio nan"),
        ({"channels": 7}, "even, from 2 to 512, not 7"),
        ({"channels": 0}, "even, from 2 to 512, not 0"),
        ({"snr_range_db": (10.0, 1.0)}, "snr_range_db"),
        ({"snr_range_db": (1.0, math.inf)}, "snr_range_db"),
        ({"snr_range_db": (math.nan, 1.0)}, "snr_range_db"),
        ({"cbr_range": (0.0, 0.1)}, "cbr_range"),
        ({"cbr_range": (0.1,)}, "cbr_range"),
    ],
)
def test_refuses(entries: dict[str, Any], named: str) -> None:
    with pytest.raises(witt.InputError, match=named):
        replace(PLAIN, **entries)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"smooth_channels": 8}, "more than 8 channels and at most 48, not 8"),
        ({"smooth_channels": -1}, "smooth_channels must be 0 or more, not -1"),
        ({"channels": 50}, "more than 0 channels and at most 48, not 50"),
        ({"refiner_blocks": 0}, "refiner_blocks must be at least 1, not 0"),
        ({"classes": 0}, "classes must be at least 1, not 0"),
        ({"heads": (3, 3)}, "width 8 cannot have 3 heads"),
    ],
)
def test_refuses_of_a_classified_codec(entries: dict[str, Any], named: str) -> None:
    plain = ClassifiedConfig("plain", (8, 12), (1, 1), (2, 3), channels=8, classes=2)
    with pytest.raises(witt.InputError, match=named):
        replace(plain, **entries)


# As one class of config for all three wrote it.
EARLIER = {
    "name": "old", "dims": [8, 12], "depths": [1, 1], "heads": [2, 3], "network": "swin",
    "window": 2, "patch": 2, "channels": 8, "modnet_layers": 2, "modnet_ratio": 1.5,
    "modulation": True, "rate_adaptive": False, "classes": 0, "refiner_blocks": 6,
    "smooth_channels": 0, "sends_scale": False, "snr_range_db": [1.0, 13.0], "cbr_range": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, WITTConfig("old", (8, 12), (1, 1), (2, 3), 2, 2, channels=8, snr_range_db=(1, 13))),
        (
            {"network": "cnn", "window": 3, "heads": [1, 1]},
            DeepJSCCConfig("old", (8, 12), (1, 1), 3, channels=8, snr_range_db=(1, 13)),
        ),
        (
            {"classes": 3},
            ClassifiedConfig(
                "old", (8, 12), (1, 1), (2, 3), 3, 0, 6, 2, 2, channels=8, snr_range_db=(1, 13)
            ),
        ),
    ],
)
def test_files_that_do_not_name_their_codec(entries: dict[str, Any], expected: Any) -> None:
    codec = from_values({**EARLIER, **entries})
    assert codec.config == expected
    again = from_values(json.loads(json.dumps(to_values(codec))))
    assert type(again) is type(codec)
    assert again.config == expected


def test_an_earlier_entry_that_is_on_is_not_dropped() -> None:
    with pytest.raises(witt.InputError, match="modulation"):
        from_values({**EARLIER, "network": "cnn", "window": 3, "modulation": False})


def test_from_dict_refuses_unknown_and_missing_entries() -> None:
    values = PLAIN.to_dict()
    with pytest.raises(witt.InputError, match="colour"):
        WITTConfig.from_dict({**values, "colour": 1})
    del values["dims"]
    with pytest.raises(witt.InputError, match="dims"):
        WITTConfig.from_dict(values)


def test_from_dict_reads_what_earlier_versions_wrote() -> None:
    """As long as they did not use what there is no more."""
    values = PLAIN.to_dict()
    assert WITTConfig.from_dict({**values, "stem": 0, "linear_path": False}) == PLAIN
    with pytest.raises(witt.InputError, match="linear_path"):
        WITTConfig.from_dict({**values, "linear_path": True})


def test_unknown_preset_lists_the_choices() -> None:
    with pytest.raises(witt.InputError, match="witt_huge") as caught:
        preset("witt_huge")
    assert all(name in str(caught.value) for name in CONFIGS)


def test_preset_overrides() -> None:
    assert preset("witt_light", window=4) == replace(CONFIGS["witt_light"], window=4)
    with pytest.raises(witt.InputError, match=r"witt_light.*colour"):
        preset("witt_light", colour=1)


@pytest.mark.parametrize(
    ("name", "cbr", "channels"),
    [
        ("witt_base", "1/16", 96),
        ("witt_base", 1 / 12, 128),
        ("witt_base", Fraction(1, 48), 32),
        ("witt_cifar", "1/12", 8),
        ("witt_cifar", 0.09, 8),  # 4.32 pairs fit
    ],
)
def test_cbr_sets_the_feature_channels(name: str, cbr: Any, channels: int) -> None:
    assert preset(name, cbr=cbr).channels == channels


@pytest.mark.parametrize("cbr", ["much", "1/0", math.nan, math.inf, 0, -0.1, (1, 16)])
def test_preset_refuses_cbr(cbr: Any) -> None:
    with pytest.raises(witt.InputError, match="cbr must be"):
        preset("witt_base", cbr=cbr)


@given(
    numerator=st.integers(1, 40),
    denominator=st.integers(1, 400),
    stride=st.sampled_from([1, 2, 4, 8, 16, 12]),
)
@settings(deadline=None, derandomize=True)
def test_channels_for_cbr_is_the_largest_that_fits(
    numerator: int, denominator: int, stride: int
) -> None:
    cbr = Fraction(numerator, denominator)
    k = channels_for_cbr(float(cbr), stride)
    assert k % 2 == 0
    assert k == 2 or Fraction(k, 6 * stride**2) <= cbr
    assert Fraction(k + 2, 6 * stride**2) > cbr
