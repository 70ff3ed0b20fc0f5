"""`witt train`: train a model on folders of pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from witt.commands.options import (
    HELP,
    CbrListType,
    Registered,
    SnrType,
    channel_option,
    device_option,
    output_option,
    profile_option,
)
from witt.errors import InputError
from witt.link.values import SnrSpec
from witt.registry import LOSSES

if TYPE_CHECKING:
    from witt.training.config import TrainConfig
    from witt.training.recipe import Recipe, Stage

DEFAULT_MINUTES = 60.0

EPILOG = """\b
Examples:
  witt train --data photos --val more-photos --snr 1,4,7,10,13 --cbr 1/16 --minutes 60
  witt train --data photos --snr=-2:20 --channel awgn,rayleigh --steps 100000 --out runs/wide
  witt train --resume --out runs/wide --steps 200000
  witt train --init runs/wide/weights.safetensors --data photos --snr 0:10 --out runs/low
  witt train --recipe paper-kodak-awgn --data DIV2K/train --val DIV2K/valid --out runs/paper
  torchrun --nproc_per_node 8 -m cli train --data photos --batch 64   # several GPUs
"""


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Take a file's settings as defaults, so that the command line wins."""
    if path is not None:
        from witt.training.settings import read_settings

        known = {p.name for p in ctx.command.params if p.name} - {"config", "recipe", "help"}
        ctx.default_map = {**(ctx.default_map or {}), **read_settings(path, known)}
    return path


@click.command(
    epilog=EPILOG,
    context_settings={**HELP, "show_default": True},
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    callback=_read_config,
    help="TOML or JSON file of these settings; the command line wins.",
)
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="File of settings in stages; each starts from the weights of the one before. `list` shows "
    "what there is. The command line wins; --resume goes on.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="DIR",
    help="Training pictures: a folder, or a data set by name; may be repeated.",
)
@click.option(
    "--data-share",
    type=float,
    default=1.0,
    help="Share of the training pictures to use, as 0.25; always the same ones.",
)
@click.option("--val", multiple=True, metavar="DIR", help="Validation pictures; may be repeated.")
@click.option("--preset", default="witt_light", help="Model; `witt info` lists them.")
@click.option("--set", multiple=True, metavar="KEY=VALUE", help="Replace an entry of the preset.")
@click.option(
    "--snr", type=SnrType(), default="1,4,7,10,13", help="SNRs in dB, or a range as -2:20."
)
@click.option(
    "--snr-first", type=SnrType(), help="Range of SNRs in the first half of the run, as 10:20."
)
@click.option(
    "--cbr",
    type=CbrListType(),
    show_default="1/48 to 1/8, or what the preset has",
    help="CBRs; one named twice is drawn twice as often.",
)
@channel_option(many=True, help="Channels, taken in turn.")
@click.option(
    "--loss",
    cls=Registered,
    registry=LOSSES,
    default="mse",
    metavar="LOSS",
    help="What is minimised: mse, the squared error, or ms-ssim, 1 − MS-SSIM.",
)
@profile_option(
    "ours",
    "published",
    help="published: power, symbols, SNR, loss and gradients as the published code has them.",
)
@click.option("--steps", type=int, help="Length of the run in steps.")
@click.option(
    "--minutes", type=float, show_default="60, without --steps", help="Length in minutes."
)
@click.option("--batch", type=int, default=8, help="Images a step, of all processes together.")
@click.option(
    "--accumulate",
    type=int,
    default=1,
    help="Parts that a process works on one after the other: less memory, the same batch.",
)
@click.option("--crop", type=int, default=128, help="Side of the random crops in pixels.")
@click.option(
    "--lr",
    type=float,
    show_default="0.001; with --init 0.0001",
    help="Peak learning rate of AdamW.",
)
@click.option(
    "--muon-lr",
    type=float,
    show_default="0.005 for the published networks, else 0.01; with --init 0.003",
    help="Peak learning rate of Muon; 0: AdamW alone.",
)
@click.option(
    "--soap-lr", type=float, default=0.0, help="Peak learning rate of SOAP in Muon's place."
)
@click.option("--warmup", type=int, default=50, help="Steps until the peak.")
@click.option(
    "--flat",
    type=float,
    show_default="a cosine from the start",
    help="Share of the run at the peak, as 0.4; then the rates fall linearly to 0.",
)
@click.option("--clip", type=float, default=1.0, help="Largest norm of the gradient.")
@click.option(
    "--ema", type=float, default=0.999, help="Decay of the running average of the weights."
)
@click.option(
    "--mask",
    type=float,
    default=0.0,
    help="Share of a picture's tokens that is not sent, as 0.3: the decoder learns to do without.",
)
@click.option(
    "--mask-noise",
    type=float,
    default=0.0,
    help="Standard deviation of noise on the pixels at the transmitter; the loss has none.",
)
@click.option("--seed", type=int, default=0, help="Same seed, same run.")
@device_option()
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    help="Number format of the networks; auto is bf16 on GPUs that have it. The channel stays in "
    "fp32.",
)
@click.option(
    "--workers", type=int, default=1, help="Processes that read pictures, for each that trains."
)
@click.option(
    "--compile/--no-compile", default=False, help="Compile the Swin blocks with torch.compile."
)
@click.option("--val-minutes", type=float, default=10.0, help="Time between validations.")
@click.option("--save-minutes", type=float, default=5.0, help="Time between checkpoints.")
@click.option(
    "--tensorboard/--no-tensorboard",
    default=None,
    show_default="where it is installed",
    help="Write TensorBoard files.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --out with its settings; --steps and --minutes may be raised.",
)
@click.option("--init", metavar="WEIGHTS", help="Weights to start from, as --weights elsewhere.")
@output_option("Folder of the run. [default: runs/PRESET]")
@click.pass_context
def train(ctx: click.Context, **options: Any) -> None:
    """Train a model on folders of pictures (or CIFAR-10 sheets).

    The run's folder gets weights.safetensors (best in validation), checkpoint.pt, log.jsonl,
    TensorBoard files and config.json. Ctrl-C saves before it ends; --resume goes on from there.
    """
    from witt.registry import parse
    from witt.training.loop import train as run_training
    from witt.training.start import base_codec

    given = {name for name in options if ctx.get_parameter_source(name) != ParameterSource.DEFAULT}
    resume, output = options["resume"], options["output"]
    if options["recipe"] is not None:
        ctx.exit(_train_recipe(options, given))
    if options["init"] is not None and not resume and "preset" not in given:
        options["preset"] = base_codec("", {}, options["init"]).name
    out = (
        output
        if output is not None
        else Path("runs") / parse(options["preset"]).target.rpartition(":")[2]
    )
    config = _resumed_config(options, given, out) if resume else new_config(options)
    ctx.exit(run_training(config, out, resume, tensorboard=options["tensorboard"]))


def new_config(options: dict[str, Any]) -> TrainConfig:
    """The configuration of a new run; what was not asked for follows from the model."""
    from witt.training.config import TrainConfig
    from witt.training.start import base_codec, default_cbr, default_learning_rates

    settings = _settings(options)
    if settings["steps"] is None and settings["minutes"] is None:
        settings["minutes"] = DEFAULT_MINUTES
    missing = [name for name in ("lr", "muon_lr") if settings[name] is None]
    if not settings["cbr"] or missing:
        base = base_codec(settings["preset"], settings["overrides"], settings["init"])
        settings["cbr"] = settings["cbr"] or default_cbr(base)
        rates = default_learning_rates(base, settings["profile"], settings["init"] is not None)
        settings |= {name: rates[name] for name in missing}
    if settings["init"] is not None and not settings["val"]:
        warnings.warn(
            "--init without --val: nothing will tell whether the training improves these weights; "
            "weights.safetensors will be the last average, better or not",
            stacklevel=2,
        )
    return TrainConfig(**settings)


def _resumed_config(options: dict[str, Any], given: set[str], out: Path) -> TrainConfig:
    """The configuration of the run in a folder, with what was given now."""
    from witt.training.checkpoint import read_checkpoint
    from witt.training.config import TrainConfig, continued

    settings = _settings(options)
    stored = TrainConfig.from_dict(read_checkpoint(out)["config"])
    names = {"set": "overrides"}
    asked = {names.get(name, name) for name in given} & set(settings)
    if "snr" in asked:
        asked.add("snr_is_range")
    return continued(stored, {name: settings[name] for name in asked})


def _train_recipe(options: dict[str, Any], given: set[str]) -> int:
    """Run the stages of a recipe that are not done yet, and return the exit code."""
    from witt.training.checkpoint import NAME, WEIGHTS, read_checkpoint
    from witt.training.folder import sole_run
    from witt.training.loop import limit_reached
    from witt.training.loop import train as run_training
    from witt.training.processes import joined
    from witt.training.recipe import listing, read_recipe

    if options["recipe"] == "list":
        click.echo(listing())
        return 0
    recipe = read_recipe(options["recipe"])
    out = options["output"] or Path("runs") / recipe.path.stem
    again = f"witt train --recipe {options['recipe']} --resume --out {out}"
    stages = [stage_options(recipe, stage, options, given) for stage in recipe.stages]
    for folder, here in zip(recipe.folders(out)[:-1], stages[1:], strict=True):
        here["init"] = str(folder / WEIGHTS)
    with joined(options["device"]) as processes, sole_run(out, processes):
        for folder, here in zip(recipe.folders(out), stages, strict=True):
            resume = options["resume"] and (folder / NAME).is_file()
            config = _resumed_config(here, given, folder) if resume else new_config(here)
            if resume and limit_reached(config, read_checkpoint(folder)):
                continue
            if processes.first:
                click.echo(f"{recipe.path.stem}, stage {folder.name}")
            code = run_training(
                config, folder, resume, tensorboard=options["tensorboard"], again=again
            )
            if code:
                return code
    return 0


def stage_options(
    recipe: Recipe, stage: Stage, options: dict[str, Any], given: set[str]
) -> dict[str, Any]:
    """Options of `witt train` for a stage; what was given wins, but --set only adds to the stage's.

    Raises:
        InputError: the stage has an unknown setting.
        click.UsageError: or one with a value that cannot be used.
    """
    from witt.training.settings import as_options

    beside = {"config", "recipe", "resume", "output", "help"}
    known = {p.name for p in train.params if p.name} - beside
    defaults = as_options(recipe.path, stage.settings, known)
    own = train.make_context("train", [], default_map=defaults).params
    merged = {**own, **{name: options[name] for name in given | beside - {"help"}}}
    if "set" in given:
        merged["set"] = (*own["set"], *options["set"])
    return merged


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Options as the entries of `TrainConfig`."""
    from witt.training.settings import parse_overrides

    snr: SnrSpec = options["snr"]
    first: SnrSpec | None = options["snr_first"]
    if first is not None and not first.is_range:
        raise InputError("--snr-first: give a range, as 10:20")
    other = (
        "config",
        "recipe",
        "set",
        "snr",
        "snr_first",
        "tensorboard",
        "resume",
        "output",
        "cbr",
    )
    return {
        **{name: value for name, value in options.items() if name not in other},
        "snr": snr.values,
        "snr_is_range": snr.is_range,
        "snr_first": None if first is None else first.values,
        "cbr": tuple(map(str, options["cbr"] or ())),
        "overrides": parse_overrides(options["set"]),
    }
