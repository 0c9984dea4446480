"""A route without what FastAPI does for its parameters, for the one path that has to be fast."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class PlainRoute(APIRoute):
    """Calls its endpoint with the request and nothing else.

    It is matched, documented and has its errors answered like any other route. FastAPI's own stack would make two exit
    stacks for dependencies, and a second look-up of error handlers, for every request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = _plain_app(endpoint)


def _plain_app(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app


async def read_body(request: Request) -> bytes:
    """The whole body. Mangum hands it over at once, so the generator behind `Request.body` has nothing to do."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    return body + await read_body(request) if message.get("more_body") else body
