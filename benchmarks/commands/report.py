"""`witt report`: one page of HTML from result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from witt.commands.options import HELP, output_option


@click.command(
    "report",
    short_help="Make one page of HTML of results, to mail to a colleague.",
    epilog="Example: witt report kodak.json visual.json -o report.html",
    context_settings=HELP,
)
@click.argument(
    "results", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--published/--no-published",
    default=True,
    show_default=True,
    help="Draw the curves published with WITT behind ours, dashed.",
)
@output_option("The page.", "report.html")
def command(results: Sequence[Path], published: bool, output: Path) -> None:
    """Curves that answer to the mouse, tables, Bjøntegaard differences, pictures, settings.

    FILE is a result file of witt benchmark, witt reproduce or witt evaluate, or of Results.save;
    several of the same pictures go into one figure. Pictures with a zoom come from what witt
    transmit --json printed, and from visual.json of witt reproduce. The page is one file that loads
    nothing. Nothing is computed anew.

    \b
      witt transmit photo.png --snr 1 --json > 1.json
      witt transmit photo.png --snr 10 --json --output out/10 > 10.json
      witt report 1.json 10.json -o report.html
    """
    from benchmarks.report.page import report_page
    from witt.errors import InputError
    from witt.files import ensure_writable_folder, write_text

    if output.is_dir():
        raise InputError(f"{output}: is a folder; --output is the file for the page")
    if output.exists() and any(path.exists() and output.samefile(path) for path in results):
        raise InputError(f"{output}: would be replaced, but is an input; choose another --output")
    page = report_page(results, published=published)
    ensure_writable_folder(output.parent)
    write_text(output, page)
    click.echo(output)
