"""Samples in SigMF: read back by NumPy, by the library, by tar; and what is refused."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sigmf

from witt.errors import InputError
from witt.radio.samples import (
    Recording,
    check_output,
    is_samples,
    read_samples,
    write_samples,
)

RNG = np.random.default_rng(0)
SAMPLES = (RNG.standard_normal(1000) + 1j * RNG.standard_normal(1000)).astype(np.complex64)


def archive(meta: bytes | dict[str, Any], data: bytes = SAMPLES.tobytes(), **names: str) -> bytes:
    """A tar of metadata and samples."""
    content = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for suffix, part in ((".sigmf-meta", content), (".sigmf-data", data)):
            entry = tarfile.TarInfo(names.get("name", "a/a") + suffix)
            entry.size = len(part)
            tar.addfile(entry, io.BytesIO(part))
    return buffer.getvalue()


def metadata(**held: Any) -> dict[str, Any]:
    told = {"core:datatype": "cf32_le", "core:version": "1.2.0"}
    told.update({f"core:{name}": value for name, value in held.items()})
    return {
        "global": {name: value for name, value in told.items() if value is not None},
        "captures": [{"core:sample_start": 0}],
        "annotations": [],
    }


@pytest.fixture
def refused(tmp_path: Path) -> Any:
    path = tmp_path / "bad.sigmf"

    def check(content: bytes, named: str) -> None:
        path.write_bytes(content)
        with pytest.raises(InputError, match=named) as stop:
            read_samples(path)
        assert str(stop.value).startswith(str(path))
        assert len(str(stop.value)) < 400
        assert os.listdir(tmp_path) == ["bad.sigmf"]

    return check


@pytest.mark.parametrize("name", ["tx.sigmf", "tx.sigmf-meta", "tx.sigmf-data"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_samples(path, Recording(SAMPLES, 48_000.0, {"kind": "noise"}))
    back = read_samples(path)
    assert back.samples.dtype == np.complex64
    assert np.array_equal(back.samples, SAMPLES)
    assert (back.sample_rate_hz, back.facts, back.cut) == (48_000, {"kind": "noise"}, False)
    first = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    write_samples(path, Recording(SAMPLES, 48_000.0, {"kind": "noise"}))
    assert first == {each.name: each.read_bytes() for each in tmp_path.iterdir()}


def test_others_read_what_is_written(tmp_path: Path) -> None:
    """The library, its checks on; NumPy; tar."""
    write_samples(tmp_path / "one.sigmf", Recording(SAMPLES))
    write_samples(tmp_path / "two.sigmf-meta", Recording(SAMPLES))
    for file in (
        sigmf.sigmffile.fromarchive(str(tmp_path / "one.sigmf")),
        sigmf.sigmffile.fromfile(str(tmp_path / "two.sigmf-meta")),
    ):
        file.validate()
        assert np.array_equal(file.read_samples(), SAMPLES)
        assert file.get_global_info()["core:sample_rate"] == 1e6
    raw = np.fromfile(tmp_path / "two.sigmf-data", np.complex64)
    assert np.array_equal(raw, SAMPLES)
    with tarfile.open(tmp_path / "one.sigmf") as tar:
        assert tar.getnames() == ["one/one.sigmf-meta", "one/one.sigmf-data"]
        held = tar.extractfile("one/one.sigmf-data")
        assert held is not None
        assert held.read() == SAMPLES.tobytes()


def test_archives_of_the_library_are_read(tmp_path: Path) -> None:
    SAMPLES.tofile(tmp_path / "a.sigmf-data")
    info = {"core:datatype": "cf32_le", "core:sample_rate": 2e6, "core:version": "1.2.0"}
    file = sigmf.SigMFFile(data_file=str(tmp_path / "a.sigmf-data"), global_info=info)
    file.add_capture(0)
    file.archive(str(tmp_path / "b.sigmf"))
    back = read_samples(tmp_path / "b.sigmf")
    assert np.array_equal(back.samples, SAMPLES)
    assert back.sample_rate_hz == 2e6


@pytest.mark.parametrize(
    ("datatype", "kind", "scale", "zero"),
    [
        ("ci8", "i1", 2**7, 0),
        ("cu8", "u1", 2**7, 2**7),
        ("ci16_le", "<i2", 2**15, 0),
        ("ci16_be", ">i2", 2**15, 0),
        ("ci32_le", "<i4", 2**31, 0),
        ("cf32_be", ">f4", 1, 0),
        ("cf64_le", "<f8", 1, 0),
    ],
)
def test_other_complex_types(
    datatype: str, kind: str, scale: float, zero: int, tmp_path: Path
) -> None:
    values = np.array([[1, -3], [100, 50], [-128, 127]]) + zero
    content = archive(metadata(datatype=datatype), values.astype(kind).tobytes())
    (tmp_path / "a.sigmf").write_bytes(content)
    back = read_samples(tmp_path / "a.sigmf")
    pairs = (values - zero) / scale
    assert np.allclose(back.samples, pairs[:, 0] + 1j * pairs[:, 1], rtol=1e-6)
    assert back.sample_rate_hz is None


def test_a_cut_archive_gives_what_is_there(tmp_path: Path) -> None:
    whole, path = tmp_path / "a.sigmf", tmp_path / "b.sigmf"
    write_samples(whole, Recording(SAMPLES))
    content = whole.read_bytes()
    start = content.index(SAMPLES.tobytes())
    for length in (1, 8, 12, 4000, 7999):
        path.write_bytes(content[: start + length])
        if length < 8:
            with pytest.raises(InputError, match="has no samples"):
                read_samples(path)
            continue
        back = read_samples(path)
        assert back.cut
        assert np.array_equal(back.samples, SAMPLES[: length // 8])
    path.write_bytes(content[: start + 8000])  # without the end of the tar
    assert not read_samples(path).cut


def test_a_cut_pair_gives_what_is_there(tmp_path: Path) -> None:
    write_samples(tmp_path / "a.sigmf-meta", Recording(SAMPLES))
    data = tmp_path / "a.sigmf-data"
    data.write_bytes(data.read_bytes()[:4003])
    back = read_samples(tmp_path / "a.sigmf-meta")
    assert back.cut
    assert np.array_equal(back.samples, SAMPLES[:500])


def test_hostile_metadata(refused: Any) -> None:
    refused(archive(metadata(datatype="rf32_le")), "real samples")
    refused(archive(metadata(datatype="cf99_le")), "not those of SigMF|unknown type")
    refused(archive(metadata(datatype=None)), "not those of SigMF")
    refused(archive(metadata(datatype={"a": [1]})), "not those of SigMF")
    refused(archive(metadata(num_channels=2)), "2 channels")
    refused(archive(metadata(num_channels=10**30)), "not those of SigMF|channels")
    refused(archive(metadata(sample_rate=-1)), "not those of SigMF|not a sample rate")
    refused(archive(metadata(sample_rate="fast")), "not those of SigMF|not a sample rate")
    refused(archive(metadata(sample_rate=10**400)), "not those of SigMF|not a sample rate")
    refused(archive(metadata(dataset="/etc/passwd")), "not those of SigMF")
    refused(archive(metadata(dataset="passwd")), "another file or format")
    refused(archive(metadata(trailing_bytes=10**18)), "another file or format|not those")
    odd = metadata()
    odd["captures"] = [{"core:sample_start": 0, "core:header_bytes": 10**18}]
    refused(archive(odd), "another file or format")
    refused(archive({**metadata(), "captures": "many"}), "not those of SigMF")
    refused(archive(b"[" * 200_000), "nested too deeply|not those of SigMF")
    refused(archive(b'{"global": ' * 90_000), "nested too deeply|not those of SigMF")
    refused(archive(b"\xff\xfe{}"), "not those of SigMF")
    refused(archive(b"null"), "not those of SigMF")
    refused(archive(b'{"global": NaN}'), "not those of SigMF")
    refused(archive(b" " * (2**22 + 1)), "larger than")
    refused(archive(metadata(), b""), "has no samples")


def test_hostile_samples(refused: Any) -> None:
    for value in (np.nan, np.inf, complex(0, -np.inf), 1e30):
        samples = SAMPLES.copy()
        samples[17] = value
        refused(archive(metadata(), samples.tobytes()), "1 of its 1,000 samples")
    doubles = np.full(10, 1e300)
    refused(archive(metadata(datatype="cf64_le"), doubles.tobytes()), "5 of its 5 samples")


def test_hostile_archives(refused: Any, tmp_path: Path) -> None:
    good = archive(metadata())
    refused(b"", "not a SigMF archive")
    refused(b"\0" * 4096, "no metadata|not a SigMF archive")
    refused(os.urandom(4096), "not a SigMF archive")
    refused(good[:700], "no samples|cut inside its metadata")
    refused(good[:520], "no samples|cut inside its metadata")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for suffix in (".sigmf-meta", ".sigmf-data"):
            link = tarfile.TarInfo("a" + suffix)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    refused(buffer.getvalue(), "no metadata")
    # A size that no disk has: nothing of that size is asked for.
    huge = bytearray(good)
    at = good.index(b"a/a.sigmf-data")
    huge[at + 124 : at + 136] = b"\x80" + (10**15).to_bytes(11, "big")
    huge[at + 148 : at + 156] = b" " * 8
    total = sum(huge[at : at + 512])
    huge[at + 148 : at + 156] = b"%06o\0 " % total
    (tmp_path / "bad.sigmf").write_bytes(bytes(huge))
    back = read_samples(tmp_path / "bad.sigmf")
    assert back.cut


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.sigmf"
    path.parent.mkdir()
    path.write_bytes(archive(metadata(), name="../../evil"))
    assert np.array_equal(read_samples(path).samples, SAMPLES)
    assert [each.name for each in tmp_path.rglob("*")] == ["in", "a.sigmf"]


def test_names(tmp_path: Path) -> None:
    assert is_samples("-")
    assert is_samples("a.SIGMF")
    assert not is_samples("a.npz")
    with pytest.raises(InputError, match="no such file of samples"):
        read_samples(tmp_path / "none.sigmf")
    with pytest.raises(InputError, match="its name ends in none of"):
        read_samples(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"named \.sigmf"):
        check_output(tmp_path / "a.png")
    (tmp_path / "folder.sigmf").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder.sigmf")
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path / "folder.sigmf")
    write_samples(tmp_path / "a.sigmf-meta", Recording(SAMPLES))
    with pytest.raises(InputError, match="is the input"):
        check_output(tmp_path / "a.sigmf-data", (tmp_path / "a.sigmf-meta",))
