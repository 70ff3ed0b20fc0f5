"""Complex baseband in SigMF: an archive (.sigmf), or a pair of .sigmf-meta and .sigmf-data.

    write_samples("tx.sigmf", Recording(samples, 1e6))
    read_samples("tx.sigmf").samples                    # (N,) complex64

Written are complex floats (cf32_le), which NumPy reads from the .sigmf-data of a pair as complex64
and GNU Radio by its file source; an archive is a plain tar of the same two files. The metadata come
first in it, so that a file which was cut still says what its samples are. Read are all complex
types of SigMF. "-" is an archive on standard input or output.

Source: SigMF specification 1.2, https://sigmf.org.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import sys
import tarfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sigmf
from numpy.typing import NDArray

from witt.errors import InputError, one_line
from witt.files import ensure_writable_folder, write_bytes
from witt.report import to_json

ARCHIVE, META, DATA = ".sigmf", ".sigmf-meta", ".sigmf-data"
SUFFIXES = (ARCHIVE, META, DATA)
PIPE = "-"
DATATYPE = "cf32_le"
SAMPLE_RATE_HZ = 1e6
MOST_METADATA = 2**22  # bytes
MOST_BYTES = 2**32
LARGEST = 1e9  # of I or Q; squares and sums of many samples stay in float32


@dataclass(frozen=True, eq=False)
class Recording:
    """Samples of complex baseband, and what a file says of them.

    samples: (N,) complex64.
    sample_rate_hz: None where the file does not say.
    facts: description in the namespace "witt", without the prefix. No receiver needs it.
    cut: whether the file is not whole: it ends early, or its hash is that of other samples.
    """

    samples: NDArray[np.complex64]
    sample_rate_hz: float | None = SAMPLE_RATE_HZ
    facts: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False


def is_samples(path: str | Path) -> bool:
    """Whether a name is that of SigMF, or of a pipe."""
    return str(path) == PIPE or Path(path).suffix.lower() in SUFFIXES


def check_output(path: str | Path, inputs: tuple[str | Path, ...] = ()) -> None:
    """Refuse a place that samples cannot be written to, before the work is done.

    Args:
        path: where they are to go.
        inputs: files that are read and must stay.

    Raises:
        InputError: another suffix, a folder, or one of the inputs.
    """
    if str(path) == PIPE:
        if sys.stdout.isatty():
            raise InputError("standard output is a terminal: send the samples to a file or a pipe")
        return
    if not is_samples(path):
        raise InputError(f"{path}: samples go to a file named .sigmf or .sigmf-meta, or to -")
    for each in _files(Path(path)):
        if each.is_dir():
            raise InputError(f"{each}: is a folder, not a file for the samples")
        for read in (place for given in inputs for place in _files(Path(given))):
            if each.exists() and read.exists() and each.samefile(read):
                raise InputError(
                    f"{each}: would be replaced, but is the input; choose another --out"
                )
    ensure_writable_folder(Path(path).parent)


def write_samples(path: str | Path, recording: Recording) -> None:
    """Write samples, each file whole or not at all; the same samples give the same bytes.

    Raises:
        InputError: as of `check_output`, or the file cannot be written.
    """
    check_output(path)
    data = recording.samples.astype("<c8").tobytes()
    meta = _metadata(recording, hashlib.sha512(data).hexdigest())
    if str(path) == PIPE:
        sys.stdout.buffer.write(_archive("samples", meta, data))
        sys.stdout.buffer.flush()
        return
    files = _files(Path(path))
    if len(files) == 1:
        write_bytes(files[0], _archive(files[0].stem, meta, data))
        return
    write_bytes(files[1], data)  # first: metadata say that the samples are there
    write_bytes(files[0], meta)


def read_samples(path: str | Path) -> Recording:
    """Read samples of SigMF; nothing is unpacked to the disk.

    Raises:
        InputError: missing, no SigMF, or of a kind that is not read: real samples, several
            channels, values that are not finite.
    """
    if str(path) == PIPE:
        return _from_archive("standard input", sys.stdin.buffer.read(MOST_BYTES + 1))
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: not a file of samples: its name ends in none of {_suffixes()}")
    files = _files(path)
    if len(files) == 1:
        return _from_archive(path, _read(path, MOST_BYTES))
    return _recording(path, _read(files[0], MOST_METADATA), _read(files[1], MOST_BYTES))


def _suffixes() -> str:
    return ", ".join(SUFFIXES)


def _files(path: Path) -> tuple[Path, ...]:
    """The archive, or metadata and samples of the pair that either name means."""
    if path.suffix.lower() in (META, DATA):
        return path.with_suffix(META), path.with_suffix(DATA)
    return (path,)


def _metadata(recording: Recording, sha512: str) -> bytes:
    held: dict[str, Any] = {
        "core:datatype": DATATYPE,
        "core:version": "1.2.0",
        "core:num_channels": 1,
        "core:sha512": sha512,
        "core:recorder": "witt",
        "core:extensions": [{"name": "witt", "version": "1.0.0", "optional": True}],
        **{f"witt:{name}": value for name, value in recording.facts.items()},
    }
    if recording.sample_rate_hz is not None:
        held["core:sample_rate"] = recording.sample_rate_hz
    metadata = {"global": held, "captures": [{"core:sample_start": 0}], "annotations": []}
    sigmf.SigMFFile(metadata=to_json(metadata)).validate()
    return to_json(metadata).encode() + b"\n"


def _archive(name: str, meta: bytes, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for suffix, content in ((META, meta), (DATA, data)):
            entry = tarfile.TarInfo(f"{name}/{name}{suffix}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of samples") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error


def _from_archive(path: str | Path, content: bytes) -> Recording:
    """Metadata and samples where they lie in the tar; names in it are looked at, never used."""
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            _list(tar, found)
    except (tarfile.TarError, ValueError, OverflowError, OSError) as error:
        if not found:
            raise InputError(
                f"{path}: not a SigMF archive, or a damaged one ({one_line(error)})"
            ) from error
    for suffix, what in ((META, "metadata"), (DATA, "samples")):
        if suffix not in found:
            raise InputError(f"{path}: no {what} ({suffix}) in the archive, or it was cut before")
    (meta_at, meta_size), (at, size) = found[META], found[DATA]
    meta, data = content[meta_at : meta_at + meta_size], content[at : at + size]
    if len(meta) < meta_size:
        raise InputError(f"{path}: was cut inside its metadata")
    return _recording(path, meta, data, cut=len(data) < size)


def _list(tar: tarfile.TarFile, found: dict[str, tuple[int, int]]) -> None:
    """Note the place and size of the first files of each kind, up to where the archive is cut."""
    while (entry := tar.next()) is not None:
        suffix = Path(entry.name).suffix.lower()
        if entry.isreg() and not entry.issparse() and suffix in (META, DATA):
            found.setdefault(suffix, (entry.offset_data, entry.size))


def _recording(path: str | Path, meta: bytes, data: bytes, cut: bool = False) -> Recording:
    if len(meta) > MOST_METADATA or len(data) > MOST_BYTES:
        raise InputError(f"{path}: larger than the {MOST_BYTES / 2**30:g} GiB that are read")
    held = _checked(path, meta)
    sample_rate = _sample_rate(path, held)
    data_type = held["core:datatype"]
    try:
        width = int(sigmf.sigmffile.dtype_info(data_type)["sample_size"])
    except (KeyError, ValueError, sigmf.error.SigMFError) as error:
        raise InputError(f"{path}: samples of an unknown type {data_type!r}") from error
    if not str(data_type).startswith("c"):
        raise InputError(f"{path}: real samples ({data_type}); complex baseband is wanted")
    if len(data) < width:
        raise InputError(f"{path}: has no samples")
    expected = held.get("core:sha512")
    changed = expected is not None and expected != hashlib.sha512(data).hexdigest()
    cut = cut or changed or len(data) % width > 0
    only = {"core:datatype": data_type, "core:version": "1.2.0"}
    file = sigmf.SigMFFile(metadata={"global": only, "captures": [], "annotations": []})
    whole = data[: len(data) - len(data) % width]
    file.set_data_file(data_buffer=io.BytesIO(whole), skip_checksum=True)
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.asarray(file.read_samples(), dtype=np.complex64).reshape(-1)
        usual = (np.abs(samples.real) <= LARGEST) & (np.abs(samples.imag) <= LARGEST)
    if not usual.all():  # NaN too
        raise InputError(
            f"{path}: {np.count_nonzero(~usual):,} of its {len(samples):,} samples are infinite, "
            f"not a number or beyond {LARGEST:g}"
        )
    facts = {name[5:]: value for name, value in held.items() if name.startswith("witt:")}
    return Recording(samples, sample_rate, facts, cut)


def _checked(path: str | Path, meta: bytes) -> dict[str, Any]:
    """The global part of metadata that keep to the schema.

    Raises:
        InputError: they do not, or describe what is not read.
    """
    try:
        metadata = json.loads(meta.decode("utf-8"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sigmf.SigMFFile(metadata=metadata).validate()
        held: dict[str, Any] = metadata["global"]
        captures = metadata["captures"]
    except RecursionError as error:
        raise InputError(f"{path}: its metadata are nested too deeply") from error
    except Exception as error:  # of jsonschema, and whatever the library trips over
        reason = " ".join(str(getattr(error, "message", error)).split())[:200]
        raise InputError(f"{path}: its metadata are not those of SigMF ({reason})") from error
    if held.get("core:num_channels", 1) != 1:
        raise InputError(f"{path}: {held['core:num_channels']} channels; one is wanted")
    headers = any(capture.get("core:header_bytes", 0) for capture in captures)
    if headers or held.get("core:trailing_bytes", 0) or "core:dataset" in held:
        raise InputError(f"{path}: its samples are in another file or format than SigMF's own")
    if held.get("core:metadata_only"):
        raise InputError(f"{path}: has metadata only, no samples")
    return held


def _sample_rate(path: str | Path, held: dict[str, Any]) -> float | None:
    given = held.get("core:sample_rate")
    if given is None:
        return None
    try:
        rate = float(given)
    except (TypeError, ValueError, OverflowError):
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"{path}: {str(given)[:40]} is not a sample rate in Hz")
    return rate
