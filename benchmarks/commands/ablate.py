"""`witt ablate`: presets trained alike, with several seeds each, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from witt.commands.options import HELP, output_option
from witt.errors import InputError
from witt.files import write_text

EPILOG = """\b
Examples:
  witt ablate --presets witt_cifar,deepjscc --minutes 20 --seeds 0,1 --data cifar10 --val cifar10
  witt ablate --presets witt_small,witt_base --petaflops 2 --data photos --val more-photos
  witt ablate --presets witt_cifar --steps 500 --data cifar10 --val cifar10 -- --soap-lr 0.001
  witt ablate --config sizes-cifar10 --data cifar10 --val cifar10 --out runs/sizes
"""


class NumbersType(click.ParamType):
    """Numbers with commas."""

    name = "N[,N…]"

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Each once, in the order given."""
        if isinstance(value, tuple):
            return value
        try:
            kind = int if self.whole else float
            return tuple(dict.fromkeys(kind(part) for part in str(value).split(",")))
        except ValueError:
            what = "whole numbers" if self.whole else "numbers"
            self.fail(f"{value!r}: write {what} with commas", param, ctx)


def _read_config(ctx: click.Context, _: click.Parameter, name: str | None) -> dict[str, Any]:
    """Take a file's settings as defaults, so that the command line wins; returns the trainer's."""
    from benchmarks.ablation.settings import listing, read_settings
    from witt.commands.train import train

    if name is None:
        return {}
    if name == "list":
        click.echo(listing())
        ctx.exit()
    own = {p.name for p in ctx.command.params if p.name} - {"config", "help", "options"}
    beside = {"config", "recipe", "resume", "output", "help"}
    settings = read_settings(name, own, {p.name for p in train.params if p.name} - beside)
    ctx.default_map = {**(ctx.default_map or {}), **settings.own}
    return settings.train


@click.command(
    "ablate",
    short_help="Train presets alike, and compare them.",
    epilog=EPILOG,
    context_settings=HELP,
)
@click.option(
    "--config",
    metavar="NAME|FILE",
    is_eager=True,
    callback=_read_config,
    help="TOML file of these settings, with those of witt train in a table [train]; `list` shows "
    "what ships. The command line wins.",
)
@click.option(
    "--presets",
    required=True,
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Networks, as for witt train --preset; settings follow after colons, and a name of yours "
    "may go before: small=witt_cifar:dims=[64,128]. May be repeated.",
)
@click.option("--minutes", type=NumbersType(), help="Length of each run in minutes.")
@click.option(
    "--petaflops",
    type=NumbersType(),
    help="Length of each run in 10^15 operations of its forward and backward passes, counted; the "
    "steps follow.",
)
@click.option("--steps", type=NumbersType(whole=True), help="Length of each run in steps.")
@click.option(
    "--seeds", type=NumbersType(whole=True), default="0,1", show_default=True, help="One run each."
)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="DIR",
    help="Training pictures, as for witt train; may be repeated.",
)
@click.option(
    "--val",
    multiple=True,
    required=True,
    metavar="DIR",
    help="Validation pictures, on which the weights are measured; may be repeated.",
)
@click.option(
    "--shares",
    type=NumbersType(),
    default="1",
    show_default=True,
    help="Shares of the training pictures, each with runs of its own, as 0.25,0.5,1.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Runs beside each other on this machine, which share its cores.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Train on the workers of a running Dask cluster, tcp://host:8786, that see the same "
    "folders.",
)
@output_option("Folder of the results and of the runs.", "runs/ablation")
@click.argument("options", nargs=-1, metavar="[-- OPTIONS OF WITT TRAIN]")
@click.pass_context
def command(
    ctx: click.Context,
    config: dict[str, Any],
    presets: Sequence[str],
    minutes: Sequence[float] | None,
    petaflops: Sequence[float] | None,
    steps: Sequence[float] | None,
    seeds: Sequence[int],
    data: Sequence[str],
    val: Sequence[str],
    shares: Sequence[float],
    jobs: int,
    scheduler: str | None,
    output: Path,
    options: Sequence[str],
) -> None:
    """Train each preset for as long, with each seed, and measure what it learned.

    Every run has the same pictures in the same order, and no weights are selected: those of the
    last step, averaged, are measured on the validation pictures. Of CIFAR-10 sheets these are the
    last 1,024 training pictures, which are then not trained on.

    The folder gets results.json, table.md, figures, and the runs. Ctrl-C saves; the same command
    goes on from there, and more presets, seeds and lengths add to what is there.

    Options of witt train for all runs follow after --. Without any, SOAP at 0.003 with a flat
    start (--flat 0.4), and for 32×32 pictures crops of 32 in batches of 64.
    """
    from benchmarks.ablation.figure import draw
    from benchmarks.ablation.plan import (
        budgets_of,
        names_of,
        read_presets,
        shared_settings,
        split_presets,
        tasks,
    )
    from benchmarks.ablation.results import open_ablation
    from benchmarks.ablation.run import run
    from benchmarks.ablation.table import markdown
    from benchmarks.sweep.provenance import run_record
    from witt.files import ensure_writable_folder
    from witt.lock import sole_writer
    from witt.training.compute import RESULTS
    from witt.training.pictures import open_sets
    from witt.training.validation import centre_crops

    given = {"minutes": minutes, "petaflops": petaflops, "steps": steps}
    typed = [n for n in given if ctx.get_parameter_source(n) == ParameterSource.COMMANDLINE]
    lengths = budgets_of({name: given[name] for name in typed or given})
    names = split_presets(presets)
    sets = open_sets(data, val)
    if sets.val is None:  # which click has seen to
        raise InputError("say what to measure on: --val DIR")
    crops = centre_crops(sets.val, with_ms_ssim=False)
    read = []
    for preset in read_presets(names, options, data, val, sets.train, config):
        click.echo(
            f"{preset.name}: {preset.parameters / 1e6:.2f} M parameters, "
            f"{preset.kflop_per_pixel:.1f} kFLOP/pixel, {preset.step_flops / 1e9:.2f} GFLOP a step"
        )
        read.append(preset)
    wanted = tasks(read, seeds, lengths, shares)
    ensure_writable_folder(output)
    with sole_writer(output):
        ablation = open_ablation(
            output / RESULTS,
            {
                "names": names_of(data),
                "pictures": len(sets.train),
                "content": sets.train.content(),
            },
            {
                "names": names_of(val),
                "pictures": sum(len(batch) for batch in crops.batches),
                "content": crops.content,
            },
            shared_settings(read[0].config),
        )
        for preset in read:
            ablation.declare(preset.name, preset.record())
        again = run_record()["command"]
        code, failed = run(wanted, ablation, again, jobs, scheduler)
        if code:
            click.echo(f"stopped; go on with: {again}")
        if ablation.rows:
            text = markdown(ablation)
            write_text(output / "table.md", text)
            click.echo(text, nl=False)
            for path in draw(ablation, output, "ablation"):
                click.echo(path)
    if failed:
        raise InputError("; ".join(failed))
    ctx.exit(code)
