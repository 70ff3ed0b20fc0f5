"""Schemes that are functions of the seed alone, and small data sets."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import witt
from benchmarks.schemes.scheme import Scheme, Sent, channel_uses
from benchmarks.sweep.sweep import Maker
from witt.link.conditions import Link
from witt.pictures.images import Pixels

LEAST_CBR = 1 / 100


class Noisy:
    """Adds noise of the channel's strength to the pixels; cannot send below a CBR of 1/100.

    name: "a+noisy": the family goes before the sign.
    notes: a file that gets a line for each call, and a folder for deadly names.
    """

    def __init__(self, name: str, notes: Path | None) -> None:
        self.name, self.notes = name, notes

    @property
    def family(self) -> str:
        return self.name.split("+")[0]

    def record(self) -> dict[str, Any]:
        return {"strength": 1.0}

    def send(
        self,
        pictures: Sequence[Pixels],
        link: Link,
        snr_db: float,
        cbr: float,
        seeds: Sequence[int],
    ) -> list[Sent]:
        if self.notes is not None:
            with self.notes.open("a") as file:
                file.write(f"{self.name} {link.channel} {snr_db:g} {cbr:g} {len(pictures)}\n")
        if cbr < LEAST_CBR:
            reason = f"needs a CBR of {LEAST_CBR}"
            return [Sent(None, channel_uses(p, cbr), {"reason": reason}) for p in pictures]
        scale = (20 if link.fades else 12) * 10 ** (-snr_db / 20) / (16 * cbr) ** 0.3
        scale *= 1.0 + 0.3 * len(self.name.split("+")[-1]) % 2
        sent = []
        for pixels, seed in zip(pictures, seeds, strict=True):
            noise = scale * np.random.default_rng(seed).normal(size=pixels.shape)
            received = np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)
            info = {"header_bits": 32, "together": len(pictures), "ratio": float("nan")}
            sent.append(Sent(received, channel_uses(pixels, cbr), info))
        return sent


class Deadly(Noisy):
    """Kills its process, but only the first time."""

    def send(self, *args: Any) -> list[Sent]:
        mark = Path(f"{self.notes}.killed")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().send(*args)


class Fatal(Noisy):
    """Kills its process, every time."""

    def send(self, *_: Any) -> list[Sent]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached")


class Stopped(Noisy):
    """Ctrl-C at the third call in its notes."""

    def send(self, *args: Any) -> list[Sent]:
        if self.notes is not None and len(self.notes.read_text().splitlines()) == 3:
            raise KeyboardInterrupt
        return super().send(*args)


KINDS = {"deadly": Deadly, "fatal": Fatal, "stopped": Stopped}


def make_schemes(names: Sequence[str], weights: Mapping[str, str]) -> list[Scheme]:
    """Fakes of the names; the weights are where they take notes."""
    unknown = [name for name in names if name.startswith("unknown")]
    if unknown:
        raise witt.InputError(f"unknown scheme {unknown[0]!r}: choose from a+noisy, b+noisy")
    return [
        KINDS.get(name.split("+")[-1], Noisy)(
            name, Path(weights[name]) if name in weights else None
        )
        for name in names
    ]


@pytest.fixture
def fake_schemes() -> Maker:
    """Makes schemes from any names."""
    return make_schemes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three smooth pictures of 96 by 100 pixels and one of 100 by 96."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        height, width = (100, 96) if index == 3 else (96, 100)
        y, x = np.mgrid[0:height, 0:width]
        waves = [128 + 60 * np.sin(x / (5 + index + c)) + 60 * np.cos(y / 9) for c in range(3)]
        witt.write_png(folder / f"p{index}.png", np.stack(waves, axis=2).astype(np.uint8))
    return folder


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A folder like that of the CIFAR-10 test set: 300 tiles, the last sheet filled with black."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    tiles = np.random.default_rng(7).integers(40, 216, (300, 32, 32, 3), dtype=np.uint8)
    for number, part in enumerate((tiles[:256], tiles[256:])):
        filled = np.zeros((256, 32, 32, 3), np.uint8)
        filled[: len(part)] = part
        sheet = filled.reshape(8, 32, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(256, 1024, 3)
        Image.fromarray(sheet).save(folder / f"test_{number:02}.webp", lossless=True)
    np.save(folder / "test_labels.npy", np.zeros(300, np.uint8))
    return folder
