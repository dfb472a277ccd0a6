"""Who may talk to the review in the browser: pages that this server made itself, and nobody else.

Other programs and web pages can reach a port of the loopback address, too. A request must name this server as its
`Host` (else a page could have its own name resolve to 127.0.0.1), come from no other origin, and carry the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 200_000  # of a request; the ids of a thousand classes to split off are fewer
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the address holds the token
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Refuses requests from elsewhere, and adds headers that keep the page to itself.

    Args:
        app: answers the others.
        token: what the address of the page must hold.
        hosts: the names of this server, with its port.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app, self._token, self._hosts = app, token, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a websocket, which nothing here opens

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        fault = self.find_fault(scope)
        answer = PlainTextResponse(f"refused: {fault}\n", 403) if fault else self._app
        await answer(scope, receive, send_with_headers)

    def find_fault(self, scope: Scope) -> str:
        """Why a request is refused; "" if it is not."""
        headers = Headers(scope=scope)
        if headers.getlist("host") != [headers.get("host")] or headers["host"] not in self._hosts:
            return "this address is not the one that hierarchy review printed"
        if "origin" in headers and headers["origin"] not in {f"http://{host}" for host in self._hosts}:
            return "the request comes from another page"
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if len(given) != 1 or not secrets.compare_digest(given[0].encode(), self._token.encode()):
            return "the token is missing or wrong; open the address that hierarchy review printed"
        if scope["method"] == "POST" and headers.get("content-type") != "application/json":
            return "a decision must be JSON"
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > MOST_BYTES or "transfer-encoding" in headers:
            return f"a request may have {MOST_BYTES:,} bytes"
        return ""
