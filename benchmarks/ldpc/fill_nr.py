"""Fill the shipped table of block error rates of the MCS of 5G.

python -m benchmarks.ldpc.fill_nr --channel awgn,rayleigh --snr 1,4,7,10,13
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.ldpc.bicm import bicm_capacity
from benchmarks.ldpc.error_rates import simulate
from benchmarks.ldpc.nr import ALL_MCS, LONGEST_BLOCK, Mcs, base_graph
from benchmarks.ldpc.sionna_adapter import method
from benchmarks.ldpc.table import SHIPPED_NR, Rate, Table, curve_of, known, read_table, write_table
from witt.commands.options import ChannelListType, SnrType
from witt.errors import InputError
from witt.files import ensure_writable_folder
from witt.link.conditions import Link
from witt.link.values import SnrSpec
from witt.lock import sole_writer

# A picture has ten blocks or more: one lost in ten is as bad as all.
ENOUGH_ERRORS, MOST_BLOCKS = 50, 1000


def fill(table: Table, link: Link, snr_db: float) -> Iterator[tuple[Mcs, Rate]]:
    """Simulate the longest blocks of each MCS that matters at an SNR.

    From the highest one under the capacity of its QAM down to the first that loses no block;
    those below lose none either, and carry less.

    Args:
        table: points are added to it.
        link: AWGN or fast Rayleigh.
        snr_db: Es/N0 in dB.

    Yields:
        What was simulated, after each point.
    """
    for mode in reversed(ALL_MCS):
        if mode.efficiency > bicm_capacity(mode.bits_per_symbol, snr_db, link.fades):
            continue
        length = LONGEST_BLOCK[base_graph(LONGEST_BLOCK[1], mode.rate)]
        points = table.setdefault(curve_of(link, mode, length), {})
        rate = known(points, snr_db)
        if rate is None:
            rate = points[snr_db] = simulate(
                link, mode, snr_db, length, enough_errors=ENOUGH_ERRORS, most_blocks=MOST_BLOCKS
            )
            yield mode, rate
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
                    for mode, rate in fill(table, link, snr_db):
                        write_table(out, table, method=method(crc=True))
                        lost = f"{rate.errors} of {rate.blocks} blocks lost"
                        click.echo(f"{link} {mode.name} {snr_db:g} dB: {lost}")
    except InputError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
