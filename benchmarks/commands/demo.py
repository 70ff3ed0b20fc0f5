"""`witt demo`: a page on which the channel is a slider."""

from __future__ import annotations

import click

from witt.commands.options import HELP, device_option

NEEDS = "witt demo needs starlette and uvicorn: pip install 'witt[demo]'"


@click.command(
    "demo",
    context_settings=HELP,
    short_help="Open a page on which the channel is a slider.",
    epilog="Example: witt demo --port 7860",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="Of the page; 0 takes one that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at. Only this machine sees the page unless you choose another one, "
    "such as 0.0.0.0 for all who reach it.",
)
@click.option("--browser/--no-browser", default=True, help="Whether to open the page.")
@device_option()
def command(port: int, host: str, browser: bool, device: str) -> None:
    """Open a page on which a photograph is sent over a channel that you set with sliders.

    It shows what arrives by the neural code, by DeepJSCC and by HEVC with LDPC in the same channel
    uses. Nothing is loaded from the network, and nothing is sent to it. Stop it with Ctrl-C.
    """
    import importlib.util

    from witt.errors import InputError

    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise InputError(NEEDS)
    from benchmarks.demo.serve import serve

    serve(host, port, device, browser)
