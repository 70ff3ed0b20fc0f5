"""Settings survive their file and checkpoint, and a resumed run keeps what it has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from witt.commands.options import CbrListType
from witt.errors import InputError
from witt.training.config import TrainConfig, continued
from witt.training.settings import parse_overrides, read_settings


def test_round_trip(settings: Callable[..., TrainConfig]) -> None:
    config = settings(snr=(-2, 20), snr_is_range=True, minutes=3.5, init="witt_light")
    again = TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again.to_dict() == json.loads(json.dumps(config.to_dict())) | {
        name: getattr(config, name) for name in ("data", "val", "snr", "cbr", "channel")
    }
    with pytest.raises(InputError, match="colour"):
        TrainConfig.from_dict({**config.to_dict(), "colour": 3})


def test_checkpoints_hold_plain_strings(settings: Callable[..., TrainConfig]) -> None:
    cbr = CbrListType().convert("1/24,1/16", None, None)
    assert {type(text) for text in settings(cbr=cbr).cbr} == {str}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": None}, "--steps or --minutes"),
        ({"steps": 0}, "--steps is 0"),
        ({"minutes": float("nan")}, "--minutes is nan"),
        ({"batch": 0}, "--batch is 0"),
        ({"lr": float("inf")}, "--lr is inf"),
        ({"lr": -1e-3}, "--lr is -0.001"),
        ({"muon_lr": float("nan")}, "--muon-lr is nan"),
        ({"soap_lr": -1e-3}, "--soap-lr is -0.001"),
        ({"flat": 1.0}, "--flat is 1"),
        ({"ema": 1.0}, "--ema is 1"),
        ({"clip": 0}, "--clip is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"workers": -1}, "--workers is -1"),
        ({"save_minutes": 0}, "--save-minutes is 0"),
        ({"data": ()}, "--data"),
        ({"snr": (float("nan"),)}, "--snr"),
        ({"cbr": ("0",)}, "--cbr"),
        ({"channel": ("wire",)}, "'wire'"),
        ({"loss": "l1"}, "'l1'"),
    ],
)
def test_values_out_of_range_are_named(
    settings: Callable[..., TrainConfig], changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError) as caught:
        settings(**changes)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_is_continued_as_it_was(settings: Callable[..., TrainConfig]) -> None:
    stored = settings(steps=10)
    same = {name: getattr(stored, name) for name in ("data", "snr", "cbr", "channel", "seed")}
    assert continued(stored, {**same, "cbr": ("1/48", "0.0625")}) == stored
    more = continued(stored, {"steps": 20, "workers": 3, "device": "auto", "val_minutes": 1})
    assert (more.steps, more.workers, more.val_minutes) == (20, 3, 1)
    with pytest.raises(
        InputError, match=r"lr \(0.001, asked 0.002\), batch|batch .*, lr "
    ) as caught:
        continued(stored, {"lr": 2e-3, "batch": 5, "crop": stored.crop})
    assert "crop" not in str(caught.value)
    with pytest.raises(InputError, match=r"steps \(10, asked 9: it can be raised only\)"):
        continued(stored, {"steps": 9})
    with pytest.raises(InputError, match=r"minutes \(no limit, asked 9"):
        continued(stored, {"minutes": 9})
    with pytest.raises(InputError, match="overrides"):
        continued(stored, {"overrides": {}})


def test_settings_files(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    names = ["data", "snr", "cbr", "muon_lr", "set", "output", "compile", "steps"]
    toml = tmp_path / "run.toml"
    toml.write_text(
        'data = "photos"\nsnr = [1, 4]\ncbr = ["1/16", "1/8"]\nmuon-lr = 0\nout = "x"\n'
        "compile = true\n[set]\ndims = [8, 12]\nmodulation = false\n"
    )
    pytest.importorskip("tomllib")
    assert read_settings(toml, names) == {
        "data": ["photos"],
        "snr": "1,4",
        "cbr": "1/16,1/8",
        "muon_lr": "0",
        "output": "x",
        "compile": "True",
        "set": ["dims=[8, 12]", "modulation=false"],
    }
    stored = tmp_path / "config.json"
    stored.write_text(
        json.dumps(
            {
                "snr": [-2, 20],
                "snr_is_range": True,
                "snr_first": [10, 20],
                "overrides": {"patch": 2},
            }
        )
    )
    assert read_settings(stored, [*names, "snr_first"]) == {
        "snr": "-2:20",
        "snr_first": "10:20",
        "set": ["patch=2"],
    }


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.toml", "colour = 3\nsize = 4\n", "'colour', 'size'; choose from data, set, snr"),
        ("b.toml", "steps = \n", "b.toml: not a settings file"),
        ("c.json", "[1, 2]", "c.json: not a settings file"),
        ("d.json", '{"set": 3}', "set must be a table"),
        ("e.json", '{"snr": {"a": 1}}', "snr must be a value"),
        ("f.json", None, "f.json: cannot be read: No such file"),
    ],
)
def test_bad_settings_files(tmp_path: Path, name: str, text: str | None, named: str) -> None:
    if name.endswith(".toml"):
        pytest.importorskip("tomllib")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path / name, ["data", "snr", "set"])
    assert named in str(caught.value)


def test_overrides() -> None:
    pairs = ["dims=8,12", "rate-adaptive=False", "modnet_ratio=1.5", "depths=[1, 2]"]
    assert parse_overrides(pairs) == {
        "dims": [8, 12],
        "rate_adaptive": False,
        "modnet_ratio": 1.5,
        "depths": [1, 2],
    }
    named = {"block": "./My/net.py:gated", "kind": "mixer"}
    assert parse_overrides(f"{key}={name}" for key, name in named.items()) == named
    for pair in ("dims", "=3", "dims=a,b", "dims=", "dims=[a]", "dims=2x"):
        with pytest.raises(InputError, match="--set"):
            parse_overrides([pair])


def test_the_first_half_of_a_run(settings: Callable[..., TrainConfig]) -> None:
    config = settings(snr=(0, 10), snr_first=(10, 20))
    assert config.snr_at(0.0) == config.snr_at(0.499) == ((10, 20), True)
    assert config.snr_at(0.5) == config.snr_at(1.0) == ((0, 10), False)
    assert settings().snr_at(0.0) == ((0, 10), False)
    for bad in ((10,), (10, float("nan"))):
        with pytest.raises(InputError, match="--snr-first must be a range"):
            settings(snr_first=bad)
