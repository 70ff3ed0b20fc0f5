"""The `witt` command: finds the command that was asked for, and prints what went wrong."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command is, and its line in the help: to import it for that would take seconds."""

    name: str
    module: str
    attribute: str
    help: str


COMMANDS = (
    Entry("transmit", "witt.commands.transmit", "command", "Send pictures over a noisy channel."),
    Entry(
        "evaluate",
        "witt.commands.evaluate",
        "command",
        "Measure the mean quality of received pictures.",
    ),
    Entry(
        "train",
        "witt.commands.train",
        "train",
        "Train a model on folders of pictures (or CIFAR-10 sheets).",
    ),
    Entry(
        "adapt-model",
        "witt.commands.adapt_model",
        "command",
        "Fit weights to a few pictures of a new domain.",
    ),
    Entry("scaling", "witt.commands.scaling", "command", "Predict what more training gives."),
    Entry(
        "ablate",
        "benchmarks.commands.ablate",
        "command",
        "Train presets alike, and compare them.",
    ),
    Entry(
        "benchmark",
        "benchmarks.commands.benchmark",
        "command",
        "Compare schemes over a channel, at the same channel uses.",
    ),
    Entry(
        "plot",
        "benchmarks.commands.plot",
        "command",
        "Draw the results of witt benchmark and witt evaluate.",
    ),
    Entry(
        "report",
        "benchmarks.commands.report",
        "command",
        "Make one page of HTML of results, to mail to a colleague.",
    ),
    Entry(
        "referee",
        "benchmarks.commands.referee",
        "command",
        "Measure what schemes really use, from their samples alone.",
    ),
    Entry(
        "analyse",
        "benchmarks.commands.analyse",
        "command",
        "Show what codecs have learnt: layers, attention, latents.",
    ),
    Entry(
        "reproduce",
        "benchmarks.commands.reproduce",
        "command",
        "Compute and draw the figures of the paper.",
    ),
    Entry(
        "import-weights",
        "witt.commands.import_weights",
        "command",
        "Turn weights of the published code into a file of ours.",
    ),
    Entry(
        "send",
        "witt.commands.send",
        "command",
        "Encode a picture to a file of samples or of channel symbols.",
    ),
    Entry("channel", "witt.commands.channel", "command", "Pass samples over a channel."),
    Entry(
        "receive",
        "witt.commands.receive",
        "command",
        "Decode a file of samples or of channel symbols to a picture.",
    ),
    Entry(
        "demo",
        "benchmarks.commands.demo",
        "command",
        "Open a page on which the channel is a slider.",
    ),
    Entry("export", "witt.commands.export", "command", "Write weights for other programs."),
    Entry("info", "witt.commands.info", "command", "Show presets, weights and devices."),
)


class LazyGroup(click.Group):
    """A group that imports a command when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS."""
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name, imported."""
        for entry in COMMANDS:
            if entry.name == name:
                module = importlib.import_module(entry.module)
                importlib.import_module("witt.memory").keep_freed_memory()
                command: click.Command = getattr(module, entry.attribute)
                return command
        return None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names for the Tab key, from COMMANDS alone: it waits for no import."""
        found = [CompletionItem(e.name, help=e.help) for e in COMMANDS]
        named = [item for item in found if item.value.startswith(incomplete)]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from COMMANDS alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in COMMANDS])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    try:
        click.echo(f"witt {metadata.version('witt')}")
    except metadata.PackageNotFoundError:
        click.echo("witt (not installed: run from its source)")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: witt transmit photo.png --snr 10. Options: witt COMMAND --help.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Send pictures over a wireless channel with a neural code: train, transmit, measure."""


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Each different warning once, as one line on stderr."""
    seen: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        line = _one_line(message)
        if line not in seen:
            seen.add(line)
            click.echo(f"Warning: {line}", err=True)

    with warnings.catch_warnings():
        # What is for developers stays hidden; with -W or PYTHONWARNINGS it does not.
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _fail(message: object) -> int:
    click.echo(f"Error: {_one_line(message)}", err=True)
    return 2


def _run(args: Sequence[str] | None) -> int:
    """Run the command line and return the exit code."""
    try:
        with _plain_warnings():
            result = cli.main(args, prog_name="witt", standalone_mode=False)
            sys.stdout.flush()
            # Without standalone_mode, click returns the code of ctx.exit().
            return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        help_command = error.ctx.command_path if error.ctx else "witt"
        return _fail(f"{error.format_message()} (see {help_command} --help)")
    except click.ClickException as error:
        return _fail(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        # The reader is gone (witt … | head); the interpreter must not fail to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno == errno.EPIPE:
            return 1
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except ValueError as error:
        from witt.errors import InputError

        if not isinstance(error, InputError):
            raise
        return _fail(error)


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of `witt` and of `python -m cli`; exits with 2 for what the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names and symbols that the terminal's encoding lacks must not stop the work.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(args))


if __name__ == "__main__":
    main()
