"""What is trained: lengths against a count by hand, names, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ablation.plan import (
    Budget,
    Preset,
    read_presets,
    shared_settings,
    split_name,
    split_presets,
    tasks,
    train_options,
)
from benchmarks.ablation.settings import read_settings, shipped
from witt.errors import InputError
from witt.training.pictures import Pictures, open_sets
from witt.training.settings import parse_overrides
from witt.training.start import base_codec

OWN = ("presets", "minutes", "petaflops", "seeds", "shares", "data", "val")
TRAINS = ("batch", "warmup", "seed", "crop")


def read(text: str, photos: Path, options: list[str]) -> Preset:
    folders = (str(photos),)
    (preset,) = read_presets([text], options, folders, folders, open_sets(folders, ()).train)
    return preset


@pytest.mark.parametrize("batch", [1, 5])
def test_steps_of_equal_operations(linear: str, photos: Path, batch: int) -> None:
    """A crop of 16×16 has 16 patches of 48 values, which become 8 and 48 again.

    A product of n×a by a×b takes 2nab operations. There are five: two forward, the gradients of
    both matrices, and that of what the second one reads; the picture needs none.
    """
    preset = read(linear, photos, ["--crop", "16", "--batch", str(batch)])
    by_hand = 5 * batch * 2 * 16 * 48 * 8
    assert preset.step_flops == by_hand
    assert preset.kflop_per_pixel == pytest.approx(2 * 2 * 16 * 48 * 8 / 16**2 / 1e3)
    assert preset.parameters == 2 * 48 * 8
    assert preset.steps(Budget("petaflops", 1000.4 * by_hand / 1e15)) == 1000
    assert preset.steps(Budget("petaflops", 1e-15)) == 1
    assert preset.steps(Budget("steps", 7)) == 7
    assert preset.steps(Budget("minutes", 7)) is None


def test_twice_the_network_gets_half_the_steps(
    linear: str, photos: Path, options: list[str]
) -> None:
    small, large = (read(f"{linear}:width={n}", photos, options) for n in (8, 16))
    budget = Budget("petaflops", 1e-6)
    assert small.steps(budget) == pytest.approx(2 * (large.steps(budget) or 0), abs=2)


def test_names_and_settings(linear: str, photos: Path, options: list[str]) -> None:
    named = read(f"wide={linear}:width=12", photos, [*options, "--soap-lr", "0.002"])
    assert (named.name, named.config.overrides) == ("wide", {"width": 12})
    assert read(f"{linear}:width=12", photos, options).name == "Linear:width=12"
    assert named.config.soap_lr == 0.002
    assert named.config.flat == 0.4  # what docs/trials.md found best, unless said otherwise
    assert shared_settings(named.config)["crop"] == 16


def test_lists_with_commas() -> None:
    text = "witt_cifar:depths=[1,2]:dims=[8,16], b=deepjscc ,witt_cifar:depths=[1,2]:dims=[8,16]"
    assert split_presets([text, "deepjscc"]) == [
        "witt_cifar:depths=[1,2]:dims=[8,16]",
        "b=deepjscc",
        "deepjscc",
    ]


def test_blocks_of_ones_own() -> None:
    """A setting whose value is a file and a name in it."""
    text = "witt_narrow:block=examples/own_block.py:gated:mlp_ratio=2"
    settings = ("block=examples/own_block.py:gated", "mlp_ratio=2")
    assert split_name(f"mine={text}") == ("mine", "witt_narrow", settings)
    assert split_name("a/net.py:make:width=3") == ("make:width=3", "a/net.py:make", ("width=3",))


def test_every_preset_has_a_seed_before_the_next(
    linear: str, photos: Path, options: list[str]
) -> None:
    presets = [read(f"{name}={linear}", photos, options) for name in ("a", "b")]
    made = tasks(presets, (3, 4), (Budget("steps", 5),), (0.5, 1.0))
    told = [(task.share, task.seed, task.preset.name) for task in made]
    assert told == [(s, n, p) for s in (0.5, 1.0) for n in (3, 4) for p in ("a", "b")]
    config = made[0].config
    assert (config.seed, config.steps, config.data_share) == (3, 5, 0.5)
    assert config.minutes is None
    assert len({task.folder for task in made}) == 8
    (timed,) = tasks(presets[:1], (0,), (Budget("minutes", 2),))
    assert (timed.config.steps, timed.config.minutes) == (None, 2)
    with pytest.raises(InputError, match="two runs are called Linear"):
        tasks([p._replace(name=n) for p, n in zip(presets, ("Linear:", "Linear"), strict=True)],
              (0,), (Budget("steps", 5),))  # fmt: skip
    with pytest.raises(InputError, match="--data-share is 2"):
        tasks(presets, (0,), (Budget("steps", 5),), (2.0,))
    with pytest.raises(InputError, match="--seed is -1"):
        tasks(presets, (-1,), (Budget("steps", 5),))


def test_tiles_are_cut_as_tiles(photos: Path, linear: str) -> None:
    import numpy as np

    folders = (str(photos),)
    tiles = Pictures([], np.zeros((3, 32, 32, 3), np.uint8))
    (preset,) = read_presets([linear], [], folders, folders, tiles)
    assert (preset.config.crop, preset.config.batch) == (32, 64)
    assert train_options([], tiles=False)["crop"] == 128


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--seed", "3"], "--seed"),
        (["--val-minutes", "3"], "--val-minutes"),
        (["--init", "witt_base"], "--init"),
        (["-o", "x"], "--out"),
        (["--data-share", "0.5"], "--data-share"),
    ],
)
def test_what_an_ablation_decides_is_refused(given: list[str], named: str) -> None:
    with pytest.raises(InputError, match=f"^{named} after --: witt ablate sets it"):
        train_options(given, tiles=False)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("witt_huge", "preset witt_huge: unknown preset 'witt_huge'"),
        ("{linear}:depth=3", "--set depth: unknown"),
        ("x={linear}:broken=true", "preset x=.*RuntimeError: out of order"),
    ],
)
def test_presets_that_cannot_be_trained(
    name: str, why: str, linear: str, photos: Path, options: list[str]
) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read(name.format(linear=linear), photos, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", shipped())
def test_shipped_settings(name: str) -> None:
    """All presets are there, and of one CBR."""
    settings = read_settings(name, OWN, TRAINS)
    presets = split_presets(settings.own["presets"])
    made = [
        base_codec(named.preset, parse_overrides(named.settings), None)
        for named in map(split_name, presets)
    ]
    assert len(made) >= 3
    assert len({codec.config.max_cbr for codec in made}) == 1
    train_options([], True, settings.train)


def test_settings_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('presets = ["a", "b"]\nminutes = [1, 2]\n[train]\nbatch = 3\n')
    settings = read_settings(str(path), OWN, TRAINS)
    assert settings == ({"presets": ["a,b"], "minutes": "1,2"}, {"batch": "3"})
    assert train_options([], True, settings.train)["batch"] == 3
    assert train_options(["--batch", "5"], True, settings.train)["batch"] == 5
    path.write_text("[train]\nseed = 3\n")
    with pytest.raises(InputError, match=r"--seed in \[train\]"):
        train_options([], True, read_settings(str(path), OWN, TRAINS).train)
    for text, why in (("colour = 3", "'colour'"), ("train = 3", "must be a table")):
        path.write_text(text)
        with pytest.raises(InputError, match=why):
            read_settings(str(path), OWN, TRAINS)
    with pytest.raises(InputError, match="--config nothing: no such file; choose from backbones"):
        read_settings("nothing", OWN, TRAINS)
