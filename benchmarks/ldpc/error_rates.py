"""How often a code block is lost, by Monte Carlo, each point simulated once and kept.

    python -m benchmarks.ldpc.error_rates --channel awgn,rayleigh --snr -2:20:0.5

fills the table that is shipped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import click
import torch

import channels
from benchmarks.ldpc.modes import BLOCK_LENGTH, MODES, Mode, parse_mode
from benchmarks.ldpc.sionna_adapter import Bits, Chain, method
from benchmarks.ldpc.table import (
    SHIPPED,
    SHIPPED_NR,
    Points,
    Rate,
    Table,
    cache_file,
    curve_of,
    known,
    locked,
    read_table,
    write_table,
)
from witt.commands.options import ChannelListType, SnrType
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.conditions import Link
from witt.link.values import SnrSpec
from witt.lock import sole_writer

ENOUGH_ERRORS, MOST_BLOCKS = 100, 2000
# Blocks at once: the messages of a batch stay in the caches of a CPU.
BATCH = 50


def block_error_rate(
    link: Link, mode: Mode, snr_db: float, block_length: int = BLOCK_LENGTH
) -> Rate:
    """Block error rate of a code block, every bit of which must be right.

    From the table that is shipped, else from the user's cache, else simulated and then cached.
    At SNRs beyond those where no block, or every block, was lost, that rate is returned.

    Args:
        link: the channel; gains of block fading start anew with each code block.
        mode: modulation and code rate.
        snr_db: Es/N0 in dB.
        block_length: coded bits.

    Raises:
        InputError: Sionna is needed and missing, a table is damaged or of another version, or the
            cache cannot be written.
    """
    snr_db = round(snr_db, 6) + 0.0
    curve = curve_of(link, mode, block_length)
    shipped = _shipped().get(curve, {})
    rate = known(shipped, snr_db)
    if rate is not None:
        return rate
    path = cache_file(curve)
    rate = known(shipped | read_table(path).get(curve, {}), snr_db)
    if rate is not None:
        return rate
    with locked(path):
        # Somebody else may have been at it while we waited.
        points = read_table(path).get(curve, {})
        rate = known(shipped | points, snr_db)
        if rate is None:
            rate = simulate(link, mode, snr_db, block_length)
            write_table(path, {curve: {**points, snr_db: rate}}, method=method())
    return rate


def simulate(
    link: Link,
    mode: Mode,
    snr_db: float,
    block_length: int = BLOCK_LENGTH,
    *,
    enough_errors: int = ENOUGH_ERRORS,
    most_blocks: int = MOST_BLOCKS,
    seed: int = 0,
) -> Rate:
    """Send random blocks until enough are lost or the most are sent.

    The receiver knows the gain (perfect CSI): y / h with noise variance N0 / |h|^2 is what the
    demapper gets, which loses nothing.

    Args:
        link: the channel.
        mode: modulation and code rate.
        snr_db: Es/N0 in dB.
        block_length: coded bits.
        enough_errors: lost blocks to stop at; looked at after every BATCH blocks.
        most_blocks: blocks to stop at.
        seed: every point has random numbers of its own from it.

    Raises:
        InputError: Sionna is missing.
    """
    chain = make_chain(mode, block_length)
    channel = link.module()
    key = f"{seed} {curve_of(link, mode, block_length)} {snr_db:.10g}"
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def lost(blocks: int) -> int:
        sent = random_bits(blocks, chain.k, generator)
        return int((send(chain, channel, sent, snr_db, generator, mode.crc) != sent).any(1).sum())

    return count_errors(lost, enough_errors, most_blocks)


def send(
    chain: Chain,
    channel: channels.Channel,
    bits: Bits,
    snr_db: float,
    generator: torch.Generator,
    crc: bool = False,
) -> Bits:
    """Encode, map, channel, equalise, demap and decode (B, k) bits.

    With a CRC among the bits the decoder knows that it failed, and goes on for longer. The CRC is
    taken to find every error.
    """
    received = channel(torch.from_numpy(chain.encode(bits)), snr_db, generator=generator)
    x_hat, noise_var = channels.zero_forcing(*received)
    x, variance = x_hat.numpy(), noise_var.contiguous().numpy()
    decided = chain.decode(x, variance)
    failed = (decided != bits).any(axis=1)
    if crc and failed.any():
        decided[failed] = chain.decode_longer(x[failed], variance[failed])
    return decided


def random_bits(blocks: int, k: int, generator: torch.Generator) -> Bits:
    """Random bits, (blocks, k)."""
    bits: Bits = torch.randint(2, (blocks, k), dtype=torch.uint8, generator=generator).numpy()
    return bits


def count_errors(lost: Callable[[int], int], enough_errors: int, most_blocks: int) -> Rate:
    """Call `lost` with numbers of blocks, BATCH at most, until either limit is met."""
    errors = blocks = 0
    while errors < enough_errors and blocks < most_blocks:
        batch = min(BATCH, most_blocks - blocks)
        errors += lost(batch)
        blocks += batch
    return Rate(errors, blocks)


@lru_cache(maxsize=8)
def make_chain(mode: Mode, block_length: int) -> Chain:
    """The coder of a mode; compiling it takes seconds, so the last ones are kept."""
    k, n, base_graph = mode.code(block_length)
    return Chain(k, n, mode.bits_per_symbol, base_graph=base_graph)


@lru_cache(maxsize=1)
def _shipped() -> Table:
    return {**read_table(SHIPPED), **read_table(SHIPPED_NR)}


def fill(
    table: Table,
    link: Link,
    mode: Mode,
    snrs_db: Sequence[float],
    done: Callable[[float, Rate], None],
) -> None:
    """Simulate one curve at 6144 bits, from the lowest SNR up to the first without a lost block.

    Args:
        table: points are added to it.
        link: the channel.
        mode: modulation and code rate.
        snrs_db: Es/N0 in dB.
        done: called after every point.
    """
    points: Points = table.setdefault(curve_of(link, mode, BLOCK_LENGTH), {})
    for snr_db in sorted(snrs_db):
        if known(points, snr_db) is None:
            points[snr_db] = simulate(link, mode, snr_db)
            done(snr_db, points[snr_db])


def _fill_and_write(
    table: Table, link: Link, mode: Mode, snrs_db: Sequence[float], out: Path
) -> None:
    """`fill`, with the file written and a line printed after each point."""
    last = time.perf_counter()

    def done(snr_db: float, rate: Rate) -> None:
        nonlocal last
        write_table(out, table, method=method())
        seconds, last = time.perf_counter() - last, time.perf_counter()
        click.echo(
            f"{link} {mode.name} {snr_db:g} dB: {rate.errors} of {rate.blocks} blocks lost "
            f"({rate.blocks / seconds:.0f} blocks/s)"
        )

    fill(table, link, mode, snrs_db, done)


@click.command()
@click.option("--channel", type=ChannelListType(), default="awgn,rayleigh", show_default=True)
@click.option("--snr", type=SnrType(), default="-2:20:0.5", show_default=True)
@click.option("--mode", "modes", default=",".join(MODES), show_default=True, metavar="MODE[,MODE…]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=SHIPPED, help="Default: the shipped table."
)
def command(channel: Sequence[str], snr: SnrSpec, modes: str, out: Path) -> None:
    """Simulate block error rates at 6144 coded bits (fading is fast) and add them to a table.

    Points that are there, or plain from others, are not simulated again; the file is written
    after every point.
    """
    try:
        chosen = [parse_mode(name) for name in modes.split(",")]
        ensure_writable_folder(out.parent)
        with sole_writer(out):
            table = read_table(out)
            for link in map(Link, channel):
                for mode in chosen:
                    _fill_and_write(table, link, mode, snr.points(0.5), out)
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
