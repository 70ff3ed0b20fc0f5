"""`witt plot`: figures and tables from result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from witt.commands.options import HELP, output_option


@click.command(
    "plot",
    short_help="Draw the results of witt benchmark and witt evaluate.",
    epilog="Example: witt plot kodak.json more.json --bd hevc+ldpc -o figures",
    context_settings=HELP,
)
@click.argument(
    "results", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--published/--no-published",
    default=True,
    show_default=True,
    help="Draw the curves published with WITT, and bounds of the best codecs, behind ours, dashed.",
)
@click.option(
    "--bd",
    "reference",
    metavar="SCHEME",
    help="Print Bjøntegaard differences to this scheme: the rate or SNR saved at equal quality, "
    "and the quality gained. Curves are compared that share at least half of the shorter one.",
)
@output_option("Folder for the figures, a PNG and an SVG of each.", "figures")
def command(results: Sequence[Path], published: bool, reference: str | None, output: Path) -> None:
    """Draw each metric over SNR and over CBR.

    FILE is a result file of witt benchmark, witt reproduce or witt evaluate, or of Results.save;
    the curves of several files of the same pictures go into one figure. Of the results.json of
    witt ablate the table is printed and its figures are drawn. The JSON of witt evaluate --grid
    becomes a heat map. Nothing is computed anew.
    """
    from benchmarks.ablation.figure import draw as draw_ablation
    from benchmarks.ablation.results import find_ablation
    from benchmarks.ablation.table import markdown
    from benchmarks.figures.bd import show_deltas
    from benchmarks.figures.curves import charts
    from benchmarks.figures.grid import draw_grid, read_grid_results
    from benchmarks.figures.plot import draw, paper_style, save
    from benchmarks.figures.visual import draw_visual, read_visual
    from benchmarks.sweep.evaluated import read_any
    from witt.files import ensure_writable_folder
    from witt.training.compute import RESULTS

    visuals, grids, files, ablations = [], [], [], []
    for path in {path.resolve(): path for path in results}.values():  # each once
        visual, ablation = read_visual(path), find_ablation(path)
        grid = read_grid_results(path)
        if visual is not None:
            visuals.append((path.stem, visual))
        elif grid is not None:
            grids.append((path.stem, grid))
        elif ablation is not None:
            ablations.append((path.parent.name if path.name == RESULTS else path.stem, ablation))
        else:
            files.append(read_any(path))
    drawn = charts(files, published=published) if files else []
    ensure_writable_folder(output)
    if reference is not None:  # before anything is written: it may be refused
        show_deltas(files, reference)
    with paper_style():
        figures = [(chart.name, draw(chart)) for chart in drawn]
        figures += [(name, draw_visual(visual)) for name, visual in visuals]
        figures += [(name, draw_grid(grid)) for name, grid in grids]
        for name, figure in figures:
            for path in save(figure, output, name):
                click.echo(path)
    for name, ablation in ablations:
        click.echo(markdown(ablation), nl=False)
        for path in draw_ablation(ablation, output, name):
            click.echo(path)
