"""PNG and TIFF files put together by hand, for what Pillow does not write."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, kind: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of rows that have their filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


def png_of(
    samples: Samples, depth: int, kind: int, extra: bytes = b"", adam7: bool = False
) -> bytes:
    """A PNG of (H, W, channels) whole numbers below 2^depth."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    grids = [*passes, (1, 0, 2, 1)] if adam7 else [(0, 0, 1, 1)]
    parts = [samples[y::down, x::right] for y, x, down, right in grids]
    rows = b"".join(b"\0" + packed(row, depth, ">") for part in parts if part.size for row in part)
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, adam7)
    data = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


def packed(row: Samples, depth: int, order: str, reverse: bool = False) -> bytes:
    """Samples of one row in whole bytes; those of 8 and more bits in the byte order of the file."""
    flat = row.reshape(-1)
    if flat.dtype.kind == "f" or depth in (16, 32, 64):
        kind = flat.dtype.kind if flat.dtype.kind != "b" else "u"
        data = flat.astype(f"{order}{kind}{depth // 8}").tobytes()
    else:
        places = np.arange(depth)[::-1]
        data = np.packbits((flat[:, None].astype(np.int64) >> places) & 1).tobytes()
    if reverse:
        bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)[:, ::-1]
        data = np.packbits(bits).tobytes()
    return data


def tiff_of(
    samples: Samples,
    depth: int,
    photometric: int | None,
    *,
    order: str = "<",
    planar: bool = False,
    fill: int = 1,
    deflate: bool = False,
    differences: bool = False,
    strips: int = 1,
    tags: Sequence[tuple[int, int, Sequence[int]]] = (),
) -> bytes:
    """A TIFF of (H, W, channels) samples; `tags` are (number, type 3 or 4, values).

    Args:
        differences: store each pixel less the one before (predictor 2).
    """
    height, width, channels = samples.shape
    stored = samples
    if differences:
        stored = np.diff(samples.astype(np.int64), axis=1, prepend=0) % (1 << depth)
        stored = stored.astype(samples.dtype)
    planes = [stored[..., i : i + 1] for i in range(channels)] if planar else [stored]
    tall = -(-height // strips)
    pieces = []
    for plane in planes:
        for top in range(0, height, tall):
            rows = (packed(row, depth, order, fill == 2) for row in plane[top : top + tall])
            data = b"".join(rows)
            pieces.append(zlib.compress(data) if deflate else data)
    starts = list(np.cumsum([8, *map(len, pieces)])[:-1])
    entries = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [depth] * channels),
        259: (3, [8 if deflate else 1]), 266: (3, [fill]), 273: (4, starts), 277: (3, [channels]),
        278: (4, [tall]), 279: (4, list(map(len, pieces))), 284: (3, [2 if planar else 1]),
        317: (3, [2 if differences else 1]),
    }  # fmt: skip
    if photometric is not None:
        entries[262] = (3, [photometric])
    entries |= {number: (kind, list(values)) for number, kind, values in tags}
    body = b"".join(pieces)
    body += bytes(len(body) % 2)
    directory = struct.pack(f"{order}H", len(entries))
    beyond, at = b"", 8 + len(body) + 2 + 12 * len(entries) + 4
    for number, (kind, values) in sorted(entries.items()):
        code = {1: "B", 3: "H", 4: "I"}[kind]
        data = struct.pack(f"{order}{len(values)}{code}", *map(int, values))
        if len(data) > 4:
            field = struct.pack(f"{order}I", at + len(beyond))
            beyond += data + bytes(len(data) % 2)
        else:
            field = data.ljust(4, b"\0")
        directory += struct.pack(f"{order}HHI", number, kind, len(values)) + field
    mark = b"II*\0" if order == "<" else b"MM\0*"
    header = mark + struct.pack(f"{order}I", 8 + len(body))
    return header + body + directory + struct.pack(f"{order}I", 0) + beyond


def icc(
    tags: dict[bytes, bytes], space: bytes, kind: bytes = b"mntr", connection: bytes = b"XYZ "
) -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04, clause 6); white and a name are added."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    name = b"desc\0\0\0\0" + struct.pack(">I", 12) + b"Handmade \n1\0" + bytes(78)
    tags = {b"desc": name, b"cprt": b"text\0\0\0\0-\0", b"wtpt": white, **tags}
    start = 132 + 12 * len(tags)
    table = body = b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI", 128 + len(rest), b"", 0x02400000) + kind + space + connection
    return (head.ljust(36, b"\0") + b"acsp").ljust(68, b"\0") + white[8:] + bytes(48) + rest


def grey_icc(gamma: float) -> bytes:
    """Grey of which light is the gamma-th power."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return icc({b"kTRC": curve}, b"GRAY")


def cmyk_icc(colours: Sequence[tuple[int, int, int]]) -> bytes:
    """CMYK by the Lab colours of the 16 corners, black going fastest; L of 255 is 100."""
    line = bytes(range(256))
    table = (
        b"mft1\0\0\0\0"
        + bytes([4, 3, 2, 0])
        + struct.pack(">9i", *np.eye(3).ravel().astype(int) * 65536)
    )
    table += line * 4 + bytes(v for colour in colours for v in colour) + line * 3
    return icc({b"A2B0": table, b"A2B1": table}, b"CMYK", b"prtr", b"Lab ")
