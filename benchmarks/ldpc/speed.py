"""How many code blocks a second the chain takes, beside Sionna's decoder alone in the same run.

python -m benchmarks.ldpc.speed --mode 4qam-1/2 --snr 1.5
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import torch

from benchmarks.ldpc.error_rates import BATCH, make_chain, random_bits, send
from benchmarks.ldpc.modes import BLOCK_LENGTH, parse_mode
from benchmarks.ldpc.sionna_adapter import ITERATIONS
from witt.commands.options import SnrValueType
from witt.errors import InputError
from witt.link.conditions import OURS, Link


def blocks_per_second(work: Callable[[], object], seconds: float) -> float:
    """Throughput of `work`, which handles BATCH blocks a call; once before the clock starts."""
    work()
    batches, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not batches:
        work()
        batches += 1
    return BATCH * batches / elapsed


@click.command()
@click.option("--mode", default="4qam-1/2", show_default=True)
@click.option("--channel", type=click.Choice(OURS), default="awgn", show_default=True)
@click.option("--snr", type=SnrValueType(), default=1.5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="For each of the two.")
def command(mode: str, channel: str, snr: float, seconds: float) -> None:
    """Measure the whole chain and the decoder alone."""
    try:
        chosen, link = parse_mode(mode), Link(channel)
        chain = make_chain(chosen, BLOCK_LENGTH)
    except InputError as error:
        raise click.ClickException(str(error)) from error
    generator, module = torch.Generator().manual_seed(0), link.module()

    def whole() -> None:
        send(chain, module, random_bits(BATCH, chain.k, generator), snr, generator)

    llrs = torch.randn(BATCH, chain.n, generator=generator).mul_(4).numpy()
    click.echo(f"{chosen.name}, {BLOCK_LENGTH} coded bits, {ITERATIONS} iterations, blocks/s:")
    click.echo(f"  chain over {link}: {blocks_per_second(whole, seconds):.0f}")
    alone = blocks_per_second(lambda: chain.decode_llrs(llrs), seconds)
    click.echo(f"  Sionna's decoder alone: {alone:.0f}")


if __name__ == "__main__":
    command()
