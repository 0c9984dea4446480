"""The body of a request on a plain route."""

from __future__ import annotations

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from api.plain_route import read_body


def request_of(*messages: Message) -> Request:
    """Return a request that receives these ASGI messages."""
    remaining = iter(messages)

    async def receive() -> Message:
        return next(remaining)

    return Request({"type": "http"}, receive)


class TestReadBody:
    async def test_returns_the_body_of_one_message(self) -> None:
        assert await read_body(request_of({"type": "http.request", "body": b"{}"})) == b"{}"

    async def test_joins_a_body_in_parts(self) -> None:
        parts = ({"type": "http.request", "body": part, "more_body": part != b"c"} for part in (b"a", b"b", b"c"))
        assert await read_body(request_of(*parts)) == b"abc"

    async def test_a_message_without_a_body_is_empty(self) -> None:
        assert await read_body(request_of({"type": "http.request"})) == b""

    async def test_a_disconnected_client_ends_it(self) -> None:
        with pytest.raises(ClientDisconnect):
            await read_body(request_of({"type": "http.disconnect"}))
