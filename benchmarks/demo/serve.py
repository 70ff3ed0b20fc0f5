"""Runs the page until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import warnings
import webbrowser
from functools import partial
from types import FrameType

import click
import uvicorn

from benchmarks.demo.lanes import CURVE, Dropped
from benchmarks.demo.pictures import samples
from benchmarks.demo.server import application
from benchmarks.demo.settings import Settings
from benchmarks.demo.show import NEURAL, PANELS, Show
from witt.errors import InputError, one_line

HERE = ("127.0.0.1", "localhost", "[::1]")


def serve(host: str, port: int, device: str = "auto", browser: bool = False) -> None:
    """Serve the page.

    Args:
        host: address to listen at.
        port: 0 takes one that is free.
        device: for the neural codes.
        browser: whether to open one.

    Raises:
        InputError: the address cannot be had.
    """
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    # What the senders warn of is on the page. (Filters are those of all threads.)
    warnings.simplefilter("ignore")
    show = Show(device)
    _warm_up(show)
    address = f"http://{_named(host)}:{port}/"
    if not _is_local(host):
        click.echo("Note: everybody who reaches this machine can use the page.", err=True)
    click.echo(f"The page is at {address} (stop with Ctrl-C)")
    if browser:
        webbrowser.open(address)
    hosts = [*HERE, host] if _is_local(host) else ["*"]
    config = uvicorn.Config(
        application(show, hosts), log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    with contextlib.closing(listening), contextlib.suppress(KeyboardInterrupt):
        _Server(config, show).run(sockets=[listening])
    show.front.stop()
    show.back.stop()


class _Server(uvicorn.Server):
    """Ends at once when it is told to: it would wait for the answers that are still being sent."""

    def __init__(self, config: uvicorn.Config, show: Show) -> None:
        super().__init__(config)
        self._show = show

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As of uvicorn."""
        asyncio.get_running_loop().call_soon_threadsafe(self._show.close)
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as opened:
            listening = opened.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
            opened.pop_all()  # it stays open
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: cannot be listened at: {one_line(error)}; choose another "
            "--port or --host"
        ) from error
    return listening


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _named(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _warm_up(show: Show) -> None:
    """Send the sample once: networks are loaded, and PyTorch has chosen its kernels."""
    photograph = samples()["parrots"]

    def wanted() -> None:
        if show.closed:
            raise Dropped

    for panel in PANELS:
        lane = show.front if panel == NEURAL else show.back
        lane.submit(CURVE, wanted, partial(show.send, panel, photograph, Settings(), wanted))
