"""Recipes: trainings in stages, each of which starts from the weights of the one before.

A recipe is a TOML file: settings of `witt train` for all stages, then a ``[[stage]]`` with a
``name`` and its own settings for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from witt.errors import InputError
from witt.training.settings import load

FOLDER = Path(__file__).parent / "recipes"


class Stage(NamedTuple):
    """A stage's name and all its settings, as a settings file has them."""

    name: str
    settings: dict[str, Any]


class Recipe(NamedTuple):
    """A training in stages.

    path: its file.
    about: what it is, in one line.
    stages: in their order.
    """

    path: Path
    about: str
    stages: tuple[Stage, ...]

    def folders(self, out: Path) -> list[Path]:
        """A folder for the run of each stage, in that of the recipe."""
        return [out / f"{number}-{s.name}" for number, s in enumerate(self.stages, start=1)]


def shipped() -> dict[str, Path]:
    """The recipes that come with witt, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def read_recipe(name: str) -> Recipe:
    """A shipped recipe, or one's own file.

    Raises:
        InputError: there is none of this name, or it is no recipe.
    """
    path = shipped().get(name, Path(name))
    if not path.is_file():
        raise InputError(f"no recipe {name!r}; choose from {', '.join(shipped())}, or give a file")
    entries = load(path)
    about, stages = entries.pop("about", ""), entries.pop("stage", None)
    if not isinstance(stages, list) or not stages:
        raise InputError(f"{path}: not a recipe: it has no [[stage]]")
    for stage in stages:
        if not isinstance(stage, dict) or not str(stage.get("name", "")).replace("-", "").isalnum():
            raise InputError(f"{path}: each [[stage]] needs a name of letters, digits and hyphens")
    return Recipe(
        path,
        str(about),
        tuple(
            Stage(stage["name"], {**entries, **{k: v for k, v in stage.items() if k != "name"}})
            for stage in stages
        ),
    )


def listing() -> str:
    """A line for each shipped recipe."""
    return "\n".join(f"{name}: {read_recipe(name).about}" for name in shipped())
