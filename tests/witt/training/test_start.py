"""The model fits what a run asks for, or the run is refused in one line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import witt
from witt.codecs.presets import CONFIGS
from witt.errors import InputError
from witt.training.config import TrainConfig
from witt.training.start import base_codec, default_cbr, default_muon_lr, initial_model

TWO_STAGES = {"dims": (8, 12), "depths": (1, 1), "heads": (1, 1)}


def test_rate_adaptive_presets_cover_the_highest_cbr(settings: Callable[..., TrainConfig]) -> None:
    sizes = {"dims": (8, 12, 16), "depths": (1, 1, 2), "heads": (1, 1, 2), "rate_adaptive": True}
    cbrs = ("1/24", "1/12", "1/16")
    asked = {"preset": "witt_base", "cbr": cbrs, "snr": (-2, 20), "snr_is_range": True}
    config = initial_model(settings(**asked, overrides=sizes)).config
    assert config.channels == 32  # 3·8²/12 complex symbols a token, two features each
    assert config.cbr_range == (1 / 24, 1 / 12)
    assert config.snr_range_db == (-2, 20)


def test_one_cbr_sets_the_channels_of_the_others(settings: Callable[..., TrainConfig]) -> None:
    config = initial_model(settings(preset="witt_cifar", cbr=("1/6",), overrides=TWO_STAGES)).config
    assert config.channels == 16
    assert config.served_cbr == (1 / 6, 1 / 6)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"preset": "witt_huge"}, "unknown preset 'witt_huge'"),
        ({"preset": "witt_cifar", "cbr": ("1/6", "1/3")}, "rate_adaptive=true"),
        ({"cbr": ("1/5000",)}, "--cbr 1/5000"),
        ({"cbr": ("1/2",), "overrides": {"channels": 96}}, "at most 0.0625"),
        ({"crop": 40}, "--crop 40: it must be a multiple of 16"),
        ({"crop": 8, "preset": "witt_cifar", "cbr": ("1/6",), "loss": "ms-ssim"}, "at least 11"),
        ({"overrides": {"colour": 3}}, "--set colour"),
        ({"overrides": {"name": "x"}}, "--set name"),
        ({"overrides": {"dims": 3}}, "--set dims=3"),
        ({"overrides": {"window": 2.5}}, "a whole number"),
        ({"overrides": {"modulation": 1}}, "true or false"),
        ({"overrides": {"modnet_ratio": True}}, "a finite number"),
        ({"overrides": {"modnet_ratio": float("inf")}}, "a finite number"),  # as 1e999
        ({"overrides": {"dims": [8, 12]}}, "one entry for each stage"),
        ({"overrides": {"heads": [5, 5, 5]}}, "cannot have 5 heads"),
    ],
)
def test_what_does_not_fit_is_named(
    settings: Callable[..., TrainConfig], changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError) as caught:
        initial_model(settings(**{"overrides": {}, **changes}))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_seed_gives_a_model_and_nothing_else(settings: Callable[..., TrainConfig]) -> None:
    before = torch.get_rng_state()
    first, again, other = (initial_model(settings(seed=seed)).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["decoder.head.weight"], other["decoder.head.weight"])


def test_default_cbr() -> None:
    every = ("1/48", "1/24", "1/16", "1/12", "1/8")
    assert default_cbr(base_codec("witt_light", {}, None)) == every
    assert default_cbr(base_codec("witt_base", {}, None)) == ("1/16",)
    assert default_cbr(base_codec("witt_cifar", {}, None)) == ("1/3",)
    narrow = witt.create_model("witt_light", channels=96, dims=(8, 8, 8), heads=(1, 1, 1))
    assert default_cbr(narrow) == every[:3]


def test_cifar_has_its_own_usual_rates() -> None:
    usual = ("1/12", "1/8", "1/6", "1/4", "1/3", "1/2")
    assert default_cbr(base_codec("witt_cifar_light", {}, None)) == usual


@pytest.mark.parametrize("store", [False, True], ids=["save_weights", "save_pretrained"])
def test_folders_and_models_of_other_names_to_start_from(
    tmp_path: Path, settings: Callable[..., TrainConfig], store: bool
) -> None:
    own = witt.WITTConfig("own", (8, 12), (1, 1), (1, 1), window=2, rate_adaptive=True)
    stored = witt.WITT(own)
    if store:
        stored.save_pretrained(tmp_path / "own")
    else:
        (tmp_path / "own").mkdir()
        witt.save_weights(tmp_path / "own" / "weights.safetensors", stored, {}, dtype=torch.float32)
    config = settings(
        init=str(tmp_path / "own"), preset="own", cbr=("1/3",), overrides={"modulation": False}
    )
    started = initial_model(config)
    assert started.config == replace(
        own, modulation=False, snr_range_db=(0, 10), cbr_range=(1 / 3, 1 / 3)
    )
    for name, value in started.state_dict().items():
        assert torch.equal(value, stored.state_dict()[name])


def test_weights_to_start_from(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    stored = initial_model(settings(seed=5, cbr=("1/48", "1/16")))
    path = tmp_path / "w.safetensors"
    witt.save_weights(path, stored, {})
    started = initial_model(settings(init=str(path), cbr=("1/24",), snr=(3,), overrides={}, seed=0))
    for name, value in started.state_dict().items():
        torch.testing.assert_close(value, stored.state_dict()[name], rtol=1e-3, atol=1e-4)
    assert started.config.channels == 24
    assert started.config.cbr_range == (1 / 24, 1 / 24)
    for changes, named in (
        ({"cbr": ("1/8",), "overrides": {}}, "at most 0.0625"),
        ({"overrides": {"patch": 4}}, "--set patch: the weights of --init fix it"),
        ({"preset": "witt_base", "overrides": {}}, "holds witt_light"),
    ):
        with pytest.raises(InputError, match=named):
            initial_model(settings(init=str(path), **changes))


def published(settings: Callable[..., TrainConfig], **changes: Any) -> TrainConfig:
    sizes = {"dims": (8, 12), "depths": (1, 1), "heads": (1, 1), "modnet_layers": 2}
    values = {"preset": "witt_cifar", "overrides": sizes, "cbr": ("1/6",), "crop": 32}
    return settings(**{**values, **changes})


def test_published_networks_start_steady(settings: Callable[..., TrainConfig]) -> None:
    """Features keep their size through every layer; gates are open, however many factors."""
    model = initial_model(published(settings))
    fan_in = model.encoder.head.weight.shape[1]
    assert float(model.encoder.head.weight.detach().std() * fan_in**0.5) == pytest.approx(
        1, abs=0.2
    )
    fc2 = model.decoder.layers[0].blocks[0].mlp.fc2.weight.detach()
    assert float(fc2.std() * fc2.shape[1] ** 0.5) == pytest.approx(0.3, abs=0.03)
    with torch.no_grad():
        for end in (model.encoder, model.decoder):
            for factor in end.modnet.bm_list:
                gates = factor(torch.tensor([[1.0], [13.0]]))
                assert float(gates.mean()) == pytest.approx(0.88, abs=0.08)
                assert float((gates[0] - gates[1]).abs().max()) > 1e-3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        as_published = witt.create_model("witt_cifar", dims=(8, 12), heads=(1, 1)).encoder
    assert float(as_published.head.weight.detach().std()) == pytest.approx(0.02, abs=0.005)


def test_the_published_way_starts_as_published(settings: Callable[..., TrainConfig]) -> None:
    model = initial_model(published(settings, profile="published", snr=(1, 4)))
    assert float(model.encoder.head.weight.detach().std()) == pytest.approx(0.02, abs=0.005)
    assert not any(bool(p.any()) for p in [model.encoder.modnet.bm_list[0][4].bias])


def test_learning_rates_of_muon() -> None:
    rates = {name: default_muon_lr(base_codec(name, {}, None), "ours") for name in CONFIGS}
    narrow = {name: rates.pop(name) for name in CONFIGS if "_narrow" in name}
    assert set(narrow.values()) == {0.005}
    assert rates == {
        "witt_base": 0.005, "witt_small": 0.005, "witt_large": 0.005, "witt_cifar": 0.005,
        "witt_light": 0.01, "witt_cifar_light": 0.01, "deepjscc": 0.01,
        "swinjscc_small": 0.005, "swinjscc_base": 0.005, "swinjscc_large": 0.005,
    }  # fmt: skip
    assert default_muon_lr(base_codec("witt_base", {}, None), "published") == 0.01
