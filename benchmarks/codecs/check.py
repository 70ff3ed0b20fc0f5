"""How far a codec is from BPG on the Kodak pictures: `python -m benchmarks.codecs.check DIR`.

BPG's line is the one CompressAI published (4:4:4, x265, mean over the 24 Kodak pictures at a
fixed QP). Between its points the PSNR is linear in the logarithm of the rate. Ours counts the
payload, BPG's its file, whose header is of the order of 20 bytes (0.0004 bit/pixel).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from benchmarks.codecs import codec, codec_names
from benchmarks.codecs.base import Codec
from witt.errors import InputError
from witt.metrics.quality import psnr
from witt.pictures.images import Pixels, read_image, to_tensor
from witt.pictures.inputs import gather
from witt.report import console, number, table

BPG_RATE = (0.068, 0.161, 0.352, 0.685, 1.200)  # bit/pixel
BPG_PSNR_DB = (26.20, 28.68, 31.60, 34.86, 38.26)
HEVC_QUALITIES = (6, 10, 14, 18, 22, 26)


class Point(NamedTuple):
    """Means over pictures at one quality: bit/pixel of payload and file, PSNR in dB."""

    quality: int
    rate: float
    file_rate: float
    psnr_db: float


def bpg_psnr_db(rate: float) -> float:
    """BPG's mean PSNR on Kodak at a rate in bit/pixel; NaN beyond its published ends."""
    if not BPG_RATE[0] <= rate <= BPG_RATE[-1]:
        return float("nan")
    return float(np.interp(np.log(rate), np.log(BPG_RATE), BPG_PSNR_DB))


def measure(own: Codec, pictures: list[Pixels], quality: int) -> Point:
    """Encode every picture at one quality."""
    rows = []
    for pixels in pictures:
        encoded = own.encode(pixels, quality)
        bits = 8 / (pixels.shape[0] * pixels.shape[1])
        quality_db = float(psnr(to_tensor(encoded.pixels), to_tensor(pixels))[0])
        rows.append((encoded.payload_bytes * bits, encoded.file_bytes * bits, quality_db))
    rate, file_rate, psnr_db = np.mean(rows, axis=0)
    return Point(quality, float(rate), float(file_rate), float(psnr_db))


def parse_qualities(own: Codec, text: str | None) -> list[int]:
    """The qualities to measure: a list, or six spread over all of them."""
    if text is None:
        if own.name.startswith("hevc"):
            return list(HEVC_QUALITIES)
        places = np.linspace(0, len(own.qualities) - 1, 6).round().astype(int)
        return [own.qualities[place] for place in dict.fromkeys(places.tolist())]
    known = [str(quality) for quality in own.qualities]
    wanted = [item.strip() for item in text.split(",")]
    for item in wanted:
        if item not in known:
            raise InputError(f"--quality {item!r}: {own.name} has {known[0]} to {known[-1]}")
    return [int(item) for item in wanted]


@click.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--codec", "name", default="hevc", show_default=True, help=", ".join(codec_names()))
@click.option("--quality", metavar="LIST", help="Qualities, separated by commas.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pictures.")
def command(folder: Path, name: str, quality: str | None, limit: int | None) -> None:
    """Print rate and PSNR of a codec on the pictures of DIR, and the distance to BPG's line.

    The line is that of the 24 Kodak pictures: the distance means something for those only.
    """
    try:
        own = codec(name)
        own.check()
        qualities = parse_qualities(own, quality)
        found = gather([folder], limit=limit)
        pictures = [read_image(picture.path).pixels for picture in found]
        points = []
        for each in qualities:
            points.append(measure(own, pictures, each))
            click.echo(f"quality {each} done", err=True)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from error
    heads = ("quality", "payload\nbit/pixel", "file\nbit/pixel", "PSNR dB", "above BPG\ndB")
    rows = table(f"{name}, {len(pictures)} pictures", *heads)
    for point in points:
        distance = number(point.psnr_db - bpg_psnr_db(point.rate))
        rates = number(point.rate, 4), number(point.file_rate, 4)
        rows.add_row(str(point.quality), *rates, number(point.psnr_db), distance)
    console().print(rows)


if __name__ == "__main__":
    command()
