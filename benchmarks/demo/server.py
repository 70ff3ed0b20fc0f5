"""The server of the page: a handful of addresses on top of `Show`.

GET  /                       the page, and its style and scripts below /page/
GET  /pictures/samples       what there is to choose from
POST /pictures               a visitor's file; its id, or why not
GET  /pictures/ID.png        a picture as it is sent
POST /show                   settings; a line of JSON for each thing as soon as it is there
POST /save                   settings; a ZIP file
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.demo.lanes import METRIC, Dropped
from benchmarks.demo.pictures import (
    Photograph,
    kept_photographs,
    read_photograph,
    samples,
)
from benchmarks.demo.saving import FOLDER, saved
from benchmarks.demo.settings import (
    CBRS,
    DIGITAL_MODES,
    LINKS,
    SNR_HIGH_DB,
    SNR_LOW_DB,
    SNR_STEP_DB,
    WEIGHTS,
    Settings,
)
from benchmarks.demo.show import Show, sentence
from benchmarks.demo.visitors import Ticket, Visitors
from witt.errors import InputError
from witt.report import to_json

PAGE = Path(__file__).parent / "page"
MOST_UPLOAD = 100 * 2**20
MOST_JSON = 2**16
FORGOTTEN = "The picture is not kept here any more: choose it again."
TOO_LARGE = f"The file is larger than {MOST_UPLOAD // 2**20} MB, the most that this page takes."
# Nothing from elsewhere is loaded, and nothing is sent elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def application(show: Show, hosts: list[str]) -> Starlette:
    """The page as an ASGI application.

    Args:
        show: what it shows.
        hosts: names by which it may be asked for: a page elsewhere, whose name was bent to this
            machine, is refused.
    """
    server = Server(show)
    routes = [
        Route("/", server.page),
        Route("/favicon.ico", server.icon),
        Mount("/page", StaticFiles(directory=PAGE)),
        Route("/pictures/samples", server.samples),
        Route("/pictures", server.upload, methods=["POST"]),
        Route("/pictures/{id}.png", server.picture),
        Route("/show", server.show, methods=["POST"]),
        Route("/save", server.save, methods=["POST"]),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        Middleware(Headers),
    ]
    return Starlette(routes=routes, middleware=middleware)


class Headers:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *more, (b"cache-control", b"no-store")]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class Server:
    """The answers."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._photographs = kept_photographs()
        self._visitors = Visitors()
        # One large file at a time is unpacked.
        self._reading = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        """The page itself, with the choices that it offers."""
        offered = {
            "snr_db": [SNR_LOW_DB, SNR_HIGH_DB, SNR_STEP_DB],
            "cbrs": CBRS,
            "channels": list(LINKS),
            "weights": WEIGHTS,
            "modes": DIGITAL_MODES,
            "codec": self._show.digital.name,
        }
        html = (PAGE / "index.html").read_text(encoding="utf-8")
        return Response(html.replace("{{offered}}", json.dumps(offered)), media_type="text/html")

    async def icon(self, request: Request) -> Response:
        """None: the page has its own."""
        return Response(status_code=204)

    async def samples(self, request: Request) -> Response:
        """The pictures that are here already."""
        found = await asyncio.to_thread(samples)
        for photograph in found.values():
            self._photographs.put(photograph.id, photograph)
        return JSONResponse({key: _described(each) for key, each in found.items()})

    async def upload(self, request: Request) -> Response:
        """A visitor's file, as the body."""
        if request.headers.get("content-type") != "application/octet-stream":
            return _refused("Send the file as application/octet-stream.", 415)
        name = Path(unquote(request.headers.get("x-name", "picture"))).name[:80] or "picture"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture"
            size = 0
            with path.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MOST_UPLOAD:
                        return _refused(TOO_LARGE, 413)
                    file.write(chunk)
            try:
                async with self._reading:
                    photograph = await asyncio.to_thread(read_photograph, path, name)
            except InputError as error:
                return _refused(sentence(error), 422)
        self._photographs.put(photograph.id, photograph)
        return JSONResponse(_described(photograph))

    async def picture(self, request: Request) -> Response:
        """A picture as it is sent."""
        photograph = self._photographs.get(request.path_params["id"])
        if photograph is None:
            return _refused(FORGOTTEN, 410)
        return Response(await asyncio.to_thread(lambda: photograph.png), media_type="image/png")

    async def show(self, request: Request) -> Response:
        """Everything for some settings: lines of JSON, until something newer is asked for."""
        asked = await self._asked(request)
        if isinstance(asked, Response):
            return asked
        photograph, settings, ticket = asked

        async def lines() -> AsyncIterator[str]:
            try:
                async for event in self._show.events(photograph, settings, ticket.check):
                    yield to_json(event, indent=None) + "\n"
            finally:
                ticket.close()

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def save(self, request: Request) -> Response:
        """What is on the page, as a file."""
        asked = await self._asked(request)
        if isinstance(asked, Response):
            return asked
        photograph, settings, _ = asked  # it is made, whatever is asked for meanwhile
        work = partial(saved, self._show, photograph, settings, lambda: None)
        try:
            data = await asyncio.wrap_future(self._show.back.submit(METRIC, lambda: None, work))
        except (InputError, Dropped) as error:
            return _refused(sentence(error), 422)
        name = {"content-disposition": f'attachment; filename="{FOLDER}.zip"'}
        return Response(data, media_type="application/zip", headers=name)

    async def _asked(self, request: Request) -> Response | tuple[Photograph, Settings, Ticket]:
        """The request of a page, or an answer that says what is wrong with it."""
        if request.headers.get("content-type") != "application/json":
            return _refused("Send the settings as application/json.", 415)
        try:
            body = await _body(request)
            values: dict[str, Any] = dict(json.loads(body))
            visitor, number = str(values["visitor"])[:64], int(values["number"])
            settings = Settings.read(values["settings"])
            photograph = self._photographs.get(str(values["picture"]))
        except InputError as error:
            return _refused(sentence(error), 422)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            return _refused(f"The request cannot be read ({type(error).__name__}).", 400)
        if photograph is None:
            return _refused(FORGOTTEN, 410)
        return photograph, settings, self._visitors.begin(visitor, number)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_JSON:
            raise InputError("the request is too long")
    return body


def _described(photograph: Photograph) -> dict[str, Any]:
    height, width = photograph.pixels.shape[:2]
    return {
        "id": photograph.id,
        "name": photograph.name,
        "width": width,
        "height": height,
        "notes": photograph.notes,
    }


def _refused(says: str, status: int) -> Response:
    return JSONResponse({"says": says}, status_code=status)
