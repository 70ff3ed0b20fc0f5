"""What an ablation trains: presets by seeds by budgets, with the settings of each run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from click.core import ParameterSource

from benchmarks.cost import gradient_flops
from witt.commands.info import cost
from witt.commands.train import new_config, train
from witt.errors import InputError, one_line
from witt.pictures.sheets import TILE
from witt.registry import PRESETS, short
from witt.store.making import to_values
from witt.training.config import FREE, TrainConfig
from witt.training.pictures import Pictures
from witt.training.start import initial_model

PETA = 1e15
# Won at equal time in docs/trials.md; what is given after -- goes first.
SETTINGS = {"soap_lr": 0.003, "flat": 0.4}
TILES = {"crop": TILE, "batch": 64}
OURS = frozenset(
    ("preset", "data", "val", "seed", "steps", "minutes", "val_minutes", "output", "resume",
     "recipe", "init", "tensorboard", "data_share")
)  # fmt: skip
NEVER = 1e9  # minutes between validations: only the weights of the last step are looked at
# Of a run's settings those that are another preset's, seed's or budget's.
OWN = frozenset(
    ("preset", "overrides", "seed", "steps", "minutes", "data", "val", "val_minutes", "init",
     "cbr", "lr", "muon_lr", "data_share")
) | FREE  # fmt: skip


class Budget(NamedTuple):
    """How long a run is.

    kind: "minutes", "petaflops" (10^15 operations of forward and backward passes) or "steps".
    amount: of these.
    """

    kind: str
    amount: float

    def __str__(self) -> str:
        units = {"minutes": "min", "petaflops": "PFLOP", "steps": "steps"}
        return f"{self.amount:g} {units[self.kind]}"


class Preset(NamedTuple):
    """A network to train, checked and counted.

    name: what it is called in tables.
    config: of its run, but for seed and budget.
    parameters: number of them.
    kflop_per_pixel: encoder and decoder, two operations for each multiply-add, at the size of the
        training crops: the ModNets take as much for a picture of any size.
    step_flops: operations of the forward and backward pass of a step.
    made: what it is made from, as plain values: presets compare where it is the same.
    """

    name: str
    config: TrainConfig
    parameters: int
    kflop_per_pixel: float
    step_flops: float
    made: dict[str, Any]

    def record(self) -> dict[str, Any]:
        """Plain values for the result file."""
        return {
            **self.made,
            "parameters": self.parameters,
            "kflop_per_pixel": self.kflop_per_pixel,
            "step_gflop": round(self.step_flops / 1e9, 4),
        }

    def steps(self, budget: Budget) -> int | None:
        """Steps that a budget pays for, at least 1; None for minutes, where the clock says."""
        if budget.kind == "minutes":
            return None
        if budget.kind == "steps":
            return int(budget.amount)
        return max(1, round(budget.amount * PETA / self.step_flops))


class Task(NamedTuple):
    """A run: a preset, a seed, a budget, and the share of the training pictures."""

    preset: Preset
    seed: int
    budget: Budget
    share: float = 1.0

    @property
    def key(self) -> dict[str, Any]:
        """What tells it apart from other runs of its result file."""
        return {
            "preset": self.preset.name,
            "seed": self.seed,
            "budget": self.budget._asdict(),
            "share": self.share,
        }

    @property
    def config(self) -> TrainConfig:
        """Settings of the run."""
        minutes = self.budget.amount if self.budget.kind == "minutes" else None
        return replace(
            self.preset.config,
            seed=self.seed,
            steps=self.preset.steps(self.budget),
            minutes=minutes,
            data_share=self.share,
        )

    @property
    def folder(self) -> str:
        """Name of its folder."""
        part = "" if self.share == 1 else f"-share{self.share:g}"
        return slug(f"{self.preset.name}-{self.budget}{part}-seed{self.seed}")

    def __str__(self) -> str:
        part = "" if self.share == 1 else f", {self.share:g} of the pictures"
        return f"{self.preset.name}, seed {self.seed}, {self.budget}{part}"


def slug(text: str) -> str:
    """Text as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")


def split_presets(texts: Sequence[str]) -> list[str]:
    """Names from lists with commas; those within brackets, as in ``a:depths=[1,2]``, stay.

    Raises:
        InputError: there is none.
    """
    parts = [part.strip() for text in texts for part in re.split(r",(?![^\[\]]*\])", text)]
    names = list(dict.fromkeys(filter(None, parts)))
    if not names:
        raise InputError("--presets is empty: name one or more, as witt_cifar,deepjscc")
    return names


class Named(NamedTuple):
    """A preset as it was written.

    name: what it is called in tables.
    preset: as of `witt train --preset`.
    settings: as of `witt train --set`.
    """

    name: str
    preset: str
    settings: tuple[str, ...]


def split_name(text: str) -> Named:
    """Take "small=witt_cifar:dims=[64,128]" apart; a value may be "file.py:function"."""
    label, equals, rest = text.partition("=")
    named = bool(equals) and ":" not in label  # what follows a colon is a setting
    preset, *settings = re.split(r":(?=[A-Za-z_]\w*=)", rest if named else text)
    return Named(label.strip() if named else short(text), preset, tuple(settings))


def budgets_of(given: Mapping[str, Sequence[float] | None]) -> list[Budget]:
    """The lengths that were asked for, by their kind, of which there must be one.

    Raises:
        InputError: none, or of several kinds, or one is not above 0.
    """
    lengths = [Budget(kind, amount) for kind, them in given.items() for amount in them or ()]
    if len({budget.kind for budget in lengths}) != 1:
        raise InputError("say how long to train: one of --minutes, --petaflops, --steps")
    if not all(0 < budget.amount < math.inf for budget in lengths):
        raise InputError(f"--{lengths[0].kind}: give numbers above 0")
    return lengths


def tasks(
    presets: Sequence[Preset],
    seeds: Sequence[int],
    budgets: Sequence[Budget],
    shares: Sequence[float] = (1.0,),
) -> list[Task]:
    """All runs; a seed of all presets comes before the next one, so that a part compares too."""
    made = [
        Task(preset, seed, budget, share)
        for budget in budgets
        for share in shares
        for seed in seeds
        for preset in presets
    ]
    for task in made:
        _ = task.config  # refuses a seed or share out of range before anything is trained
    folders = [task.folder for task in made]
    if twice := {name for name in folders if folders.count(name) > 1}:
        raise InputError(f"--presets: two runs are called {min(twice)}; write other names, as a=…")
    return made


def read_presets(
    names: Sequence[str],
    given: Sequence[str],
    data: Sequence[str],
    val: Sequence[str],
    pictures: Pictures,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Preset]:
    """Check and count each preset: its forward and backward pass is carried out.

    Args:
        names: presets, "file.py:make", each with settings after colons, and perhaps a name before
            "=".
        given: options of `witt train` for all of them.
        data, val: folders of pictures.
        pictures: those to train on.
        defaults: options of `witt train` where they are not given, from a settings file.

    Raises:
        InputError: one cannot be trained so.
    """
    options = train_options(given, _are_tiles(pictures), defaults)
    for text in names:
        yield _read(text, {**options, "data": tuple(data), "val": tuple(val)})


def train_options(
    given: Sequence[str], tiles: bool, defaults: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Options of `witt train` for all runs.

    Args:
        given: as on a command line.
        tiles: all pictures are 32×32, so that crops are too.
        defaults: from a settings file.

    Raises:
        InputError: what an ablation decides itself was given, or is unknown.
    """
    ours = {**SETTINGS, **(TILES if tiles else {}), **defaults}
    context = train.make_context("train", list(given), default_map=ours)
    beyond = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    for name in sorted(OURS):
        if context.get_parameter_source(name) in beyond or name in defaults:
            option = "--out" if name == "output" else f"--{name.replace('_', '-')}"
            where = "in [train]" if name in defaults else "after --"
            raise InputError(f"{option} {where}: witt ablate sets it for each run; leave it out")
    return dict(context.params)


def _read(text: str, options: dict[str, Any]) -> Preset:
    name, preset, own = split_name(text)
    try:
        config = new_config(
            {
                **options,
                "preset": preset,
                "set": (*options["set"], *own),
                "steps": 1,
                "minutes": None,
                "init": None,
                "val_minutes": NEVER,
            }
        )
        model = initial_model(config)
        costs, step_flops = cost(model, config.crop), gradient_flops(config)
    except Exception as error:  # a network of one's own may raise anything
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"preset {text}: {kind}{one_line(error)}") from error
    made = {
        "preset": short(preset),
        "source": PRESETS.source(preset),
        "model": to_values(model),
        **{key: _plain(getattr(config, key)) for key in ("cbr", "lr", "muon_lr")},
    }
    return Preset(
        name, config, costs.parameters, round(costs.flops_per_pixel / 1e3, 3), step_flops, made
    )


def shared_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that all runs of an ablation have."""
    names = [entry.name for entry in fields(TrainConfig) if entry.name not in OWN]
    return {name: _plain(getattr(config, name)) for name in names}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _are_tiles(pictures: Pictures) -> bool:
    return not pictures.paths and pictures[0].shape[:2] == (TILE, TILE)


def names_of(folders: Sequence[str]) -> list[str]:
    """What data sets are called in a file that travels: without the folders above them."""
    return [Path(folder).name or folder for folder in folders]
