"""The local server of a review in the browser: one page, its state, its images and its decisions."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hierarchy.errors import HierarchyError
from hierarchy.review.session import Session
from hierarchy.review.ui.web.guard import Guard
from hierarchy.review.ui.web.view import act, describe_start, describe_state, find_nodes, list_senses
from hierarchy.sources import make_thumbnail

LOOPBACK = "127.0.0.1"
SIDE = 320  # pixels of the images; the page shows them at half of that, and some screens have two for one


def serve(
    session: Session,
    *,
    title: str,
    pictures: Mapping[str, Sequence[Path]],
    opened: Callable[[str], None],
    port: int = 0,
) -> None:
    """Serves a review until the person quits or interrupts it.

    Args:
        session: the review.
        title: the name of the file.
        pictures: class id -> images of it.
        opened: hears the address, with its token, when the page can be opened.
        port: the port; 0 for a free one.

    Raises:
        OSError: the port is taken.
    """
    token = secrets.token_urlsafe(24)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        port = listener.getsockname()[1]
        server: uvicorn.Server
        app = make_app(session, title, pictures, token, port, lambda: setattr(server, "should_exit", True))
        config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", server_header=False)
        server = uvicorn.Server(config)
        listener.listen()
        opened(f"http://{LOOPBACK}:{port}/?token={token}")
        server.run(sockets=[listener])


def make_app(
    session: Session,
    title: str,
    pictures: Mapping[str, Sequence[Path]],
    token: str,
    port: int,
    quit: Callable[[], None],
) -> Guard:
    """The guarded application; arguments as of `serve`, and `quit` ends it."""
    pages = _Pages(session, title, pictures, quit)
    routes = [
        Route("/", pages.show_page),
        Route("/start", pages.start),
        Route("/state", pages.show_state),
        Route("/decide", pages.decide, methods=["POST"]),
        Route("/senses", pages.list_senses),
        Route("/image/{number:int}", pages.show_image),
    ]
    return Guard(Starlette(routes=routes), token, {f"{LOOPBACK}:{port}", f"localhost:{port}"})


class _Pages:
    """What the server answers; arguments as of `serve`."""

    def __init__(
        self, session: Session, title: str, pictures: Mapping[str, Sequence[Path]], quit: Callable[[], None]
    ) -> None:
        self._session, self._title, self._pictures, self._quit = session, title, pictures, quit
        self._thumbnail = lru_cache(4096)(self._make_thumbnail)

    async def show_page(self, request: Request) -> Response:
        nonce = secrets.token_urlsafe(12)
        policy = f"default-src 'none'; img-src 'self' data:; connect-src 'self'; script-src 'nonce-{nonce}';"
        policy += f" style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        text = files("hierarchy.review.ui.web").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{{nonce}}", nonce), headers={"content-security-policy": policy})

    async def start(self, request: Request) -> Response:
        return JSONResponse(describe_start(self._session, self._title, self._pictures))

    async def show_state(self, request: Request) -> Response:
        return self._show()

    async def decide(self, request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return PlainTextResponse("refused: a decision must be a JSON object\n", 400)
        if asked.get("key") == "q":
            self._quit()
            return JSONResponse({"quit": True})
        try:
            return self._show(act(self._session, asked))
        except HierarchyError as error:
            return self._show(str(error), refused=True)

    async def list_senses(self, request: Request) -> Response:
        try:
            return JSONResponse(list_senses(self._session))
        except HierarchyError as error:
            return JSONResponse({"refused": str(error)})

    def show_image(self, request: Request) -> Response:  # not async: decoding runs in a thread
        content = self._thumbnail(request.query_params.get("id", ""), request.path_params["number"])
        if content is None:
            return PlainTextResponse("no such image\n", 404)
        return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    def _make_thumbnail(self, id: str, number: int) -> bytes | None:
        paths = self._pictures.get(id, ())
        return make_thumbnail(paths[number], SIDE) if 0 <= number < len(paths) else None

    def _show(self, said: str = "", *, refused: bool = False) -> JSONResponse:
        shown = describe_state(self._session, said, refused=refused)
        return JSONResponse(shown | {"nodes": find_nodes(self._session)})
