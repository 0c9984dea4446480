"""Requests as the settings describe them, and what is read from the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.conformance.api import TRIES_MAX, Answer, Api
from examples.conformance.settings import load
from local.testkit.raw_servers import raw_server

ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Length: 18\r\n\r\n{"thing":{"id":7}}'
LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
REQUEST: dict[str, Any] = {"path": "/v1/things", "changed": {"amount": "2"}}
AS_FORM = {
    **REQUEST,
    "headers": {"Authorization": "Bearer {key}"},
    "form": {"amount": "1", "metadata[marker]": "{marker}"},
}
AS_JSON = {**REQUEST, "json": {"amount": "1", "metadata": {"marker": ["{marker}"]}}}


@contextmanager
def api_at(port: int, folder: Path, request: dict[str, Any]) -> Iterator[Api]:
    file = folder / "settings.json"
    file.write_text(json.dumps({"request": request, "resource": {"id": "thing.id"}}))
    with closing(Api(f"http://127.0.0.1:{port}/base/", "one", load(file))) as api:
        yield api


class TestCreate:
    async def test_sends_a_form_with_the_callers_key(self, tmp_path: Path) -> None:
        async with raw_server(ACCEPTED) as server:
            with api_at(server.port, tmp_path, AS_FORM) as api:
                await asyncio.to_thread(api.create, 'a"b', "m&m", {"amount": "2"})
        [head], [body] = server.heads, server.bodies
        assert head.startswith(b"POST /base/v1/things HTTP/1.1\r\n")
        lines = head.lower().split(b"\r\n")
        assert b"authorization: bearer one" in lines
        assert b'idempotency-key: "a\\"b"' in lines
        assert b"content-type: application/x-www-form-urlencoded" in lines
        assert body == b"amount=2&metadata%5Bmarker%5D=m%26m"

    async def test_fills_in_the_marker_wherever_it_is(self, tmp_path: Path) -> None:
        async with raw_server(ACCEPTED) as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                await asyncio.to_thread(api.create, None, "here")
        assert json.loads(server.bodies[0]) == {"amount": "1", "metadata": {"marker": ["here"]}}
        assert b"idempotency-key" not in server.heads[0].lower()

    async def test_sends_a_bare_key_to_an_api_that_takes_no_other(self, tmp_path: Path) -> None:
        async with raw_server(ACCEPTED) as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                api.is_bare = True
                await asyncio.to_thread(api.create, "bare", "")
        assert b"idempotency-key: bare\r\n" in server.heads[0].lower()

    async def test_repeats_a_request_that_a_rate_limit_refuses(self, tmp_path: Path) -> None:
        async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(LIMITED if len(server.heads) == 1 else ACCEPTED)
            await writer.drain()

        async with raw_server(respond) as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                answer = await asyncio.to_thread(api.create, "k", "")
        assert answer.status == 202
        assert server.bodies[0] == server.bodies[1]

    async def test_a_rate_limit_that_goes_on_is_the_answer(self, tmp_path: Path) -> None:
        async with raw_server(LIMITED) as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                answer = await asyncio.to_thread(api.create, "k", "")
        assert (answer.status, len(server.heads)) == (429, TRIES_MAX)

    async def test_a_connection_that_ends_is_no_answer(self, tmp_path: Path) -> None:
        async with raw_server(b"") as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                answer = await asyncio.to_thread(api.create, "k", "")
        assert (answer.status, answer.is_success, answer.is_refusal) == (0, False, False)
        assert str(answer).startswith("no answer (")

    async def test_no_proxy_is_asked_for_this_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with raw_server(ACCEPTED) as server:
            with api_at(server.port, tmp_path, AS_JSON) as api:
                assert (await asyncio.to_thread(api.create, "k", "")).status == 202


class TestGet:
    async def test_only_the_api_gets_the_callers_key(self, tmp_path: Path) -> None:
        async with raw_server(ACCEPTED) as server, raw_server(ACCEPTED) as other:
            with api_at(server.port, tmp_path, AS_FORM) as api:
                await asyncio.to_thread(api.get, "/docs")
                await asyncio.to_thread(api.get, f"http://127.0.0.1:{other.port}/docs")
        assert server.heads[0].startswith(b"GET /base/docs ")
        assert b"Bearer one" in server.heads[0]
        assert other.heads[0].startswith(b"GET /docs ")
        assert b"Bearer" not in other.heads[0]


class TestIdOf:
    @pytest.mark.parametrize(
        ("body", "id_"),
        [
            (b'{"thing":{"id":7}}', "7"),
            (b'{"thing":{"id":"t"}}', "t"),
            (b'{"thing":{"id":{}}}', None),
            (b'{"thing":[]}', None),
            (b"[]", None),
            (b"", None),
        ],
    )
    def test_follows_the_path(self, tmp_path: Path, body: bytes, id_: str | None) -> None:
        with api_at(1, tmp_path, AS_JSON) as api:
            assert api.id_of(Answer(202, httpx.Headers(), body)) == id_
