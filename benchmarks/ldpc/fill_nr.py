"""Fill the shipped table of block error rates of the MCS of 5G.

python -m benchmarks.ldpc.fill_nr --channel awgn,rayleigh --snr 1,4,7,10,13
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from benchmarks.ldpc.error_rates import simulate
from benchmarks.ldpc.nr import ALL_MCS, LONGEST_BLOCK, base_graph
from benchmarks.ldpc.sionna_adapter import method
from benchmarks.ldpc.table import SHIPPED_NR, Rate, Table, curve_of, known, read_table, write_table
from channels import theory
from witt.commands.options import ChannelListType, SnrType
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.conditions import Link
from witt.link.values import SnrSpec
from witt.lock import sole_writer


def fill(table: Table, link: Link, snr_db: float, done: Callable[[str, Rate, float], None]) -> None:
    """Simulate the longest blocks of each MCS that matters at an SNR.

    From the highest one under the capacity down to the first that loses no block; those below
    lose none either, and carry less.

    Args:
        table: points are added to it.
        link: AWGN or fast Rayleigh.
        snr_db: Es/N0 in dB.
        done: called with mode, rate and seconds after every point.
    """
    of = theory.rayleigh_ergodic_capacity if link.fades else theory.awgn_capacity
    capacity = float(of(snr_db))
    for mode in reversed([mode for mode in ALL_MCS if mode.efficiency < capacity]):
        length = next(
            k for k in LONGEST_BLOCK.values() if LONGEST_BLOCK[base_graph(k, mode.rate)] == k
        )
        points = table.setdefault(curve_of(link, mode, length), {})
        rate = known(points, snr_db)
        if rate is None:
            started = time.perf_counter()
            rate = points[snr_db] = simulate(link, mode, snr_db, length)
            done(mode.name, rate, time.perf_counter() - started)
        if rate.errors == 0:
            return


@click.command()
@click.option("--channel", type=ChannelListType(), default="awgn,rayleigh", show_default=True)
@click.option("--snr", type=SnrType(), default="-2:20:0.5", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED_NR, help="The table.")
def command(channel: Sequence[str], snr: SnrSpec, out: Path) -> None:
    """Simulate block error rates of the longest code blocks and add them to a table.

    Points that are there, or plain from others, are not simulated again; the file is written
    after every point.
    """
    try:
        ensure_writable_folder(out.parent)
        with sole_writer(out):
            table = read_table(out)
            for link in map(Link, channel):
                for snr_db in snr.points(0.5):

                    def done(mode: str, rate: Rate, seconds: float) -> None:
                        write_table(out, table, method=method(crc=True))
                        click.echo(
                            f"{link} {mode} {snr_db:g} dB: {rate.errors} of {rate.blocks} lost "
                            f"({seconds:.0f} s)"
                        )

                    fill(table, link, snr_db, done)
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
