"""A route without FastAPI's handling of parameters, for the one path that must be fast."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.context import authorize
from api.guarded_route import GuardedRoute
from paybridge.access.permissions import Permission


class PlainRoute(GuardedRoute):
    """A guarded route that calls its endpoint with the request and nothing else.

    FastAPI matches it, documents it and answers its errors like any other route. FastAPI's own route would create two
    exit stacks for dependencies and look up error handlers a second time, for every request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = _plain_app(endpoint, self.permission())


def _plain_app(
    endpoint: Callable[[Request], Awaitable[Response]], permission: Permission
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        authorize(request, permission)
        response = await endpoint(request)
        await response(scope, receive, send)

    return app


async def read_body(request: Request) -> bytes:
    """Return the whole body. Mangum sends it as one message, so the generator of `Request.body` is not needed."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    return body + await read_body(request) if message.get("more_body") else body
