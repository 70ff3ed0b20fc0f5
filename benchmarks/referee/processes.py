"""Both ends of a scheme as processes of their own, each alone in a folder that is then deleted.

    folder of the transmitter          referee              folder of the receiver
    0.png, 1.png ─► 0.sigmf, … ─► samples ─► channel ─► 0.sigmf, … ─► 0.png, 1.png

What the transmitter's file says beside the samples stays with the referee. This is no sandbox: it
finds what crosses by mistake, not a scheme that looks for the originals on the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.referee.choice import by_commands
from benchmarks.referee.program import ACCOUNT, JOB
from benchmarks.schemes.jscc import Jscc
from benchmarks.schemes.scheme import Scheme
from witt.errors import InputError
from witt.link.conditions import Link
from witt.pictures.images import Pixels, read_image
from witt.pictures.writing import write_png
from witt.radio.samples import Recording, read_samples, write_samples
from witt.report import to_json

ROOT = Path(__file__).parents[2]
# What a process may know of its surroundings. Tables and weights are no secret of one picture.
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "SYSTEMROOT"),
    *("WITT_CACHE", "XDG_CACHE_HOME", "TORCH_HOME", "WITT_VTM_CONFIG", "WITT_HM_CONFIG"),
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Transmitted(NamedTuple):
    """What came out of a transmitter for a picture.

    samples: (N,) complex64; None where it sends nothing.
    side_bits, side_symbols: as the transmitter says, None where it does not.
    framed: whether preamble and pilots of `witt.radio.frame` are among the samples.
    note: what the transmitter says; the reason where there are no samples.
    """

    samples: NDArray[np.complex64] | None
    side_bits: int | None
    side_symbols: int | None
    framed: bool
    note: str


class Arrived(NamedTuple):
    """What came out of a receiver: pixels, or None, and what it says."""

    pixels: Pixels | None
    note: str


class Air(NamedTuple):
    """What the channel made of samples: what is received, and its true gains where they are told.

    csi: a `Recording` of the gain of each sample, with "noise_variance" among its facts.
    """

    samples: NDArray[np.complex64]
    csi: Recording | None


def transmit(
    scheme: Scheme,
    weights: dict[str, str],
    pictures: Sequence[Pixels],
    link: Link,
    snr_db: float,
    cbr: float,
) -> list[Transmitted]:
    """Run the transmitter of a scheme.

    Args:
        scheme: whose transmitter; the process makes its own by the name.
        weights: by name, as of `benchmarks.schemes.registry.make_schemes`.
        pictures: to send.
        link: what the transmitter believes of the channel.
        snr_db: what it believes of its SNR.
        cbr: most channel uses over 3·H·W, preamble and pilots not counted.

    Raises:
        InputError: the process failed.
    """
    with _folder() as folder:
        for index, pixels in enumerate(pictures):
            write_png(folder / f"{index}.png", pixels)
        if by_commands(scheme):
            return _send_commands(scheme, folder, len(pictures), link, snr_db, cbr)
        job = {
            "scheme": scheme.name,
            "weights": weights,
            "link": asdict(link),
            "snr_db": snr_db,
            "cbr": cbr,
            "pictures": len(pictures),
        }
        _program(scheme, "transmit", folder, job)
        accounts = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
        return [_sent(folder / f"{index}.sigmf", told) for index, told in enumerate(accounts)]


def receive(
    scheme: Scheme, weights: dict[str, str], received: Sequence[Air | None]
) -> list[Arrived]:
    """Run the receiver of a scheme.

    Args:
        scheme: whose receiver.
        weights: as of `transmit`.
        received: for each picture; None where nothing was sent.

    Raises:
        InputError: the process failed.
    """
    with _folder() as folder:
        there = []
        for index, air in enumerate(received):
            if air is not None:
                there.append(index)
                write_samples(folder / f"{index}.sigmf", Recording(air.samples))
                if air.csi is not None:
                    write_samples(folder / f"csi-{index}.sigmf", air.csi)
        notes: dict[str, Any] = {}
        if by_commands(scheme):
            notes = _receive_commands(scheme, folder, there)
        elif there:
            _program(scheme, "receive", folder, {"scheme": scheme.name, "weights": weights})
            notes = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
        return [
            _arrived(folder / f"{index}.png", str(notes.get(str(index), {}).get("note", "")))
            for index in range(len(received))
        ]


def _sent(path: Path, told: dict[str, Any]) -> Transmitted:
    if "refused" in told:
        return Transmitted(None, None, None, False, str(told["refused"]))
    side = told["side_bits"], told["side_symbols"]
    return Transmitted(read_samples(path).samples, *side, told["framed"], str(told["note"]))


def _arrived(path: Path, note: str) -> Arrived:
    return Arrived(read_image(path).pixels if path.exists() else None, note)


def _send_commands(
    scheme: Scheme, folder: Path, pictures: int, link: Link, snr_db: float, cbr: float
) -> list[Transmitted]:
    """`witt send`, once for each picture."""
    sent = []
    for index in range(pictures):
        out = folder / f"{index}.sigmf"
        options = ["--weights", _weights(scheme), "--snr", f"{snr_db!r}", "--cbr", f"{cbr!r}"]
        options += _channel_options(link)
        said = _run(scheme, folder, ["cli", "send", f"{index}.png", "-o", out.name, *options])
        held = read_samples(out)
        side = held.facts.get("header_bits"), held.facts.get("side_symbols")
        sent.append(Transmitted(held.samples, *side, True, said))
    return sent


def _channel_options(link: Link) -> list[str]:
    """The link as options of a command."""
    options = ["--channel", link.channel]
    if link.is_ours and link.fades:
        options += ["--fading", link.fading]
        options += [] if link.coherence is None else ["--coherence", str(link.coherence)]
    if link.channel == "rician":
        options += ["--k-factor", f"{link.k_factor_db!r}"]
    return options


def _receive_commands(scheme: Scheme, folder: Path, there: Sequence[int]) -> dict[str, Any]:
    """`witt receive`, once for each file; where it fails there is no picture, and it says why."""
    notes = {}
    for index in there:
        options = ["-o", f"{index}.png", "--weights", _weights(scheme)]
        if (folder / f"csi-{index}.sigmf").exists():
            options += ["--synchronisation", "ideal", "--csi", f"csi-{index}.sigmf"]
        try:
            note = _run(scheme, folder, ["cli", "receive", f"{index}.sigmf", *options])
        except InputError as error:
            note = str(error)
        notes[str(index)] = {"note": note}
    return notes


def _weights(scheme: Scheme) -> str:
    if not isinstance(scheme, Jscc):
        raise TypeError(f"{scheme.name} has no weights")
    return str(Path(scheme.weights).resolve())


def _program(scheme: Scheme, which: str, folder: Path, job: dict[str, Any]) -> None:
    (folder / JOB).write_text(to_json(job), encoding="utf-8")
    _run(scheme, folder, ["benchmarks.referee.program", which])


def _run(scheme: Scheme, folder: Path, arguments: Sequence[str]) -> str:
    """Run a module in a fresh interpreter that knows its folder; returns its last line.

    Raises:
        InputError: it failed, with its last line.
    """
    environment = {name: os.environ[name] for name in (*KEPT, *THREADS) if name in os.environ}
    # The installed package, or the source that this process runs from; not the working folder.
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if done.returncode:
        what = " ".join(arguments[:2])
        raise InputError(f"{scheme.name}: {what}: {last.removeprefix('Error: ') or 'it failed'}")
    return last


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards, with all that a process left there."""
    with tempfile.TemporaryDirectory(prefix="witt-referee-") as folder:
        yield Path(folder)
