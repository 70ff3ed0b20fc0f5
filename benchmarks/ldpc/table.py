"""Simulated block error rates as JSON: the table that is shipped, and the cache of the user.

A curve is all SNRs of one channel, mode and block length; a point is "errors/blocks".
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.ldpc.modes import Mode
from witt.errors import InputError, one_line
from witt.files import ensure_writable_folder, write_text
from witt.link.conditions import Link
from witt.registry import short
from witt.report import to_json

# Another decoder, demapper or number of iterations is another version too.
FORMAT = "witt-block-error-rates-1"
SHIPPED = Path(__file__).parent / "block_error_rates.json"
SHIPPED_NR = Path(__file__).parent / "block_error_rates_nr.json"
CACHE_VARIABLE = "WITT_CACHE"


class Rate(NamedTuple):
    """Lost blocks among those sent."""

    errors: int
    blocks: int

    @property
    def bler(self) -> float:
        """Block error rate."""
        return self.errors / self.blocks


class Curve(NamedTuple):
    """What an error rate depends on beside the SNR: `channel` is the `channel_key` of a link."""

    channel: str
    mode: str
    block_length: int


Points = dict[float, Rate]
Table = dict[Curve, Points]


def channel_key(link: Link) -> str:
    """A name for a channel: "awgn", "rayleigh-fast", "rician-6dB-block-512"."""
    if type(link) is not Link or not link.is_ours:  # its record alone knows its parameters
        told = json.dumps(link.record(), sort_keys=True)
        name = re.sub(r"[^\w-]", "-", short(link.channel))
        return f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if not link.fades:
        return link.channel
    factor = f"-{link.k_factor_db:g}dB" if link.channel == "rician" else ""
    if link.fading == "fast" or link.coherence == 1:
        return f"{link.channel}{factor}-fast"
    return f"{link.channel}{factor}-block-{link.coherence or 'image'}"


def curve_of(link: Link, mode: Mode, block_length: int) -> Curve:
    """The curve of a channel, mode and block length."""
    return Curve(channel_key(link), mode.name, block_length)


def known(points: Mapping[float, Rate], snr_db: float) -> Rate | None:
    """The rate at an SNR, where it was simulated or is plain from another one.

    A code that loses no block of all that were sent loses none at a higher SNR either, and one
    that loses all loses all at a lower one. Nothing is interpolated.
    """
    if snr_db in points:
        return points[snr_db]
    lossless = [snr for snr, rate in points.items() if snr < snr_db and rate.errors == 0]
    if lossless:
        return points[max(lossless)]
    hopeless = [snr for snr, rate in points.items() if snr > snr_db and rate.bler == 1]
    return points[min(hopeless)] if hopeless else None


def read_table(path: Path) -> Table:
    """Read a table; an empty one where there is no file.

    Raises:
        InputError: the file is damaged or of another version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: block error rates that are damaged or cut short ({one_line(error)}); "
            "delete the file, and they are simulated again"
        ) from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: block error rates of another version ({found}, not {FORMAT}); "
            "delete the file, and they are simulated again"
        )
    try:
        return {
            Curve(str(entry["channel"]), str(entry["mode"]), int(entry["block_length"])): {
                float(snr): _rate(text) for snr, text in entry["errors_of_blocks"].items()
            }
            for entry in data["curves"]
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: block error rates that are damaged ({one_line(error)}); "
            "delete the file, and they are simulated again"
        ) from error


def write_table(path: Path, table: Mapping[Curve, Mapping[float, Rate]], **about: Any) -> None:
    """Write a table, whole or not at all, in an order of its own.

    Args:
        path: the file.
        table: the rates.
        **about: what else goes in front, such as the method.

    Raises:
        InputError: the file cannot be written.
    """
    curves = [
        {
            **curve._asdict(),
            "errors_of_blocks": {
                f"{snr:.10g}": f"{rate.errors}/{rate.blocks}"
                for snr, rate in sorted(table[curve].items())
            },
        }
        for curve in sorted(table)
    ]
    write_text(path, to_json({"format": FORMAT, **about, "curves": curves}) + "\n")


def cache_file(curve: Curve) -> Path:
    """Where the rates of a curve are kept: below $WITT_CACHE, or witt in the user's cache."""
    root = os.environ.get(CACHE_VARIABLE)
    if not root:
        root = os.path.join(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "witt")
    name = "_".join((curve.channel, curve.mode.replace("/", "of"), str(curve.block_length)))
    return Path(root) / FORMAT / f"{name}.json"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from simulating the same curve meanwhile; makes the folder.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        ensure_writable_folder(path.parent)
    except InputError as error:
        raise InputError(
            f"{error} (simulated block error rates are kept there; another folder: "
            f"{CACHE_VARIABLE}=…)"
        ) from error
    try:
        import fcntl
    except ImportError:  # Windows: at worst the same point is simulated twice.
        yield
        return
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _rate(text: str) -> Rate:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    rate = Rate(*map(int, match.groups())) if match else Rate(1, 0)
    if not 0 < rate.blocks >= rate.errors:
        raise ValueError(f"{text!r} is not errors/blocks")
    return rate
