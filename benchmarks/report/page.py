"""The page of a report: one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures.visual import read_visual
from benchmarks.report.content import (
    about_pictures,
    all_differences,
    all_numbers,
    drawn_charts,
    pictures_in,
    source_of,
)
from benchmarks.report.transmitted import pictures_of, read_transmitted, source_of_transmitted
from benchmarks.sweep.evaluated import read_any
from witt.report import version

HERE = Path(__file__).parent


def report_page(paths: Sequence[Path], *, published: bool = True) -> str:
    """The HTML text of a report.

    Args:
        paths: result files, of one data set or several; comparisons of one picture and lists of
            `witt transmit` among them.
        published: whether to draw the published curves behind ours.

    Raises:
        InputError: a file is missing, damaged or of another format.
    """
    files, pictures, sources, transmitted = [], [], [], []
    for path in {path.resolve(): path for path in paths}.values():  # each once
        sent = read_transmitted(path)
        if sent is not None:
            transmitted += sent
            sources.append(source_of_transmitted(path, sent))
            continue
        visual = read_visual(path)
        if visual is None:
            files.append(read_any(path))
            about = about_pictures(files[-1])
        else:
            pictures.append(pictures_in(visual))
            about = f"{visual['picture']} as received"
        sources.append(source_of(path, about))
    charts = drawn_charts(files, published=published)
    tables, note = all_differences(files)
    return _render(
        title=_title([source.about for source in sources]),
        charts=charts,
        data=[chart.data for chart in charts],
        numbers=all_numbers(files) if files else None,
        differences=tables,
        differences_note=note,
        pictures=[*pictures, *pictures_of(transmitted)],
        sources=sources,
        version=version(),
    )


def _title(names: Sequence[str]) -> str:
    return "Results: " + "; ".join(dict.fromkeys(names))


def _render(**values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_read(f"page.{kind}") for kind in ("css", "js"))
    # The browser runs this script and no other, whatever the files hold.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("page.html")
    return template.render(style=style, script=script, script_sha256=digest, **values)


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").replace("\r\n", "\n")
