"""The small HTTP server of the offline stack's processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from local.http.lean import BODY_BYTES_MAX, LeanServer, Request, Response, json_response
from local.http.server import HEAD_BYTES_MAX

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Recorder:
    """A handler that answers with the request, and records it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.paths.append(request.path)
        self.arrived.set()
        if request.path == "/slow":
            await asyncio.sleep(0.1)
        if request.path == "/never":
            await request.client_gone()
            self.gone.set()
        if request.path == "/broken":
            raise RuntimeError("planted")
        name = request.parameter("name")
        return json_response(200, [request.method, request.path, name, request.body.decode()], {"X-One": "1"})


@asynccontextmanager
async def connected(handler: Recorder) -> AsyncIterator[Streams]:
    server = LeanServer(handler)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        await server.stop()


async def answers_to(*requests: bytes) -> list[bytes]:
    """Send the requests on one connection and return the answers."""
    async with connected(Recorder()) as (reader, writer):
        for request in requests:
            writer.write(request)
            await asyncio.sleep(0.01)
        content = await asyncio.wait_for(reader.read(), 5)
    return [b"HTTP/1.1 " + answer for answer in content.split(b"HTTP/1.1 ")[1:]]


LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"


class TestAnswers:
    async def test_an_answer_has_status_length_headers_and_body(self) -> None:
        (answer,) = await answers_to(b"GET /a?name=b%20c&name=d HTTP/1.1\r\nConnection: close\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b'["GET","/a","b c",""]'
        assert set(head.lower().split(b"\r\n")) >= {
            b"http/1.1 200 ok",
            b"content-length: %d" % len(body),
            b"content-type: application/json",
            b"x-one: 1",
            b"connection: close",
        }

    async def test_requests_on_one_connection_are_answered_in_their_order(self) -> None:
        slow = b"POST /slow HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
        answers = await answers_to(slow + b"GET /quick HTTP/1.1\r\n\r\n" * 40 + LAST)
        paths = [answer.split(b'"')[3] for answer in answers]
        assert paths == [b"/slow"] + [b"/quick"] * 40 + [b"/last"]
        assert answers[0].endswith(b'"ab"]')

    async def test_a_request_may_come_in_pieces_and_chunks(self) -> None:
        head = b"POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        request = head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        (answer,) = await answers_to(*[request[start : start + 7] for start in range(0, len(request), 7)])
        assert answer.endswith(b'["POST","/chunks",null,"abc"]')

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nx: " + b"y" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n", b"431"),
            (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"x" * (BODY_BYTES_MAX + 1), b"413"),
        ],
    )
    async def test_a_malformed_request_ends_the_connection(self, request_: bytes, status: bytes) -> None:
        answers = await answers_to(request_)
        assert [answer.split()[1] for answer in answers] == [status]

    async def test_a_handler_that_fails_is_a_500(self) -> None:
        answers = await answers_to(b"GET /broken HTTP/1.1\r\n\r\n", LAST)
        assert [answer.split()[1] for answer in answers] == [b"500", b"200"]


class TestEnds:
    async def test_a_request_is_handled_to_its_end_when_its_client_disconnects(self) -> None:
        recorder = Recorder()
        async with connected(recorder) as (_, writer):
            writer.write(b"GET /never HTTP/1.1\r\n\r\n")
            await asyncio.wait_for(recorder.arrived.wait(), 5)
            writer.close()
            await asyncio.wait_for(recorder.gone.wait(), 5)

    async def test_stopping_does_not_wait_for_requests(self) -> None:
        recorder = Recorder()
        server = LeanServer(recorder)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.start("127.0.0.1", 0))
        writer.write(b"GET /never HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(recorder.arrived.wait(), 5)
        await asyncio.wait_for(server.stop(), 10)
        with pytest.raises(ConnectionError):
            if not await reader.read():
                raise ConnectionResetError
        writer.close()
