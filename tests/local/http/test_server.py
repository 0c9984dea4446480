from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from local.http.messages import WireRequest, WireResponse, header_lines
from local.http.server import HEAD_BYTES_MAX, Connection, HttpServer

BODY_BYTES_MAX = 1_000


class Echo:
    """Answers with the request line, the headers and the body; later where the path begins with /later."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    def handle(self, request: WireRequest, connection: Connection) -> None:
        self.handled.append(request.target)
        if request.target == "/raise":
            raise RuntimeError("as asked for")
        if request.body is None or request.target == "/empty":
            connection.answer(WireResponse(413 if request.body is None else 200))
            return
        lines = [f"{request.method} {request.target}", *(f"{name}={value}" for name, value in request.headers())]
        response = WireResponse(200, header_lines([("x-echo", "1")]), "\n".join([*lines, ""]).encode() + request.body)
        if request.target.startswith("/later"):
            asyncio.get_running_loop().call_later(0.05, connection.answer, response)
        else:
            connection.answer(response)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def port(echo: Echo) -> AsyncIterator[int]:
    server = HttpServer(echo.handle, WireResponse, BODY_BYTES_MAX)
    yield await server.start(0)
    await server.close()


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Return everything the server sends for these pieces until it closes, which the last request must ask for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def get(target: str, *headers: str, close: bool = False) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: a", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode()


class TestRequests:
    async def test_pipelined_ones_are_answered_in_their_order(self, port: int) -> None:
        answer = await exchange(port, get("/later/1") + get("/2") + get("/later/3") + get("/4", close=True))
        found = [answer.find(f"GET {target}\n".encode()) for target in ("/later/1", "/2", "/later/3", "/4")]
        assert -1 not in found
        assert found == sorted(found)

    async def test_a_thousand_in_one_piece_are_all_answered(self, port: int, echo: Echo) -> None:
        answer = await exchange(port, get("/x") * 1_000 + get("/end", close=True))
        assert answer.count(b"HTTP/1.1 200 OK") == len(echo.handled) == 1_001

    async def test_come_in_any_pieces(self, port: int) -> None:
        request = b"POST /p?q=1 HTTP/1.1\r\nHost: a\r\nX-Key:  v \r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        answer = await exchange(port, *[request[at : at + 7] for at in range(0, len(request), 7)])
        assert b"POST /p?q=1\nhost=a\nx-key=v\n" in answer
        assert answer.endswith(b"\nabc")

    async def test_chunks_are_joined_and_trailers_are_no_headers(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await exchange(port, head + b"2\r\nab\r\n", b"1\r\nc\r\n0\r\nX-Trailer: t\r\n\r\n")
        assert answer.endswith(b"\nabc")
        assert b"x-trailer" not in answer

    @pytest.mark.parametrize(
        ("target", "seen"),
        [
            ("http://proxy.example:80/a/b?c=%2F", "/a/b?c=%2F"),
            ("http://proxy.example?c=d", "/?c=d"),
            ("//double/slash", "//double/slash"),
            ("/a?u=http://b/c", "/a?u=http://b/c"),
        ],
    )
    async def test_the_absolute_form_loses_scheme_and_host(self, port: int, target: str, seen: str) -> None:
        assert f"GET {seen}\n".encode() in await exchange(port, get(target, close=True))

    async def test_an_upgrade_is_not_made_and_does_no_harm(self, port: int) -> None:
        upgrade = get("/1", "Connection: upgrade", "Upgrade: h2c")
        answer = await exchange(port, upgrade + get("/2", close=True))
        assert answer.count(b"HTTP/1.1 200 OK") == 2

    async def test_whoever_expects_it_is_told_to_continue(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await reader.read()).endswith(b"\nok")
        writer.close()


class TestAnswers:
    async def test_head_has_the_length_and_no_body(self, port: int) -> None:
        answer = await exchange(port, b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"content-length: 31\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")

    async def test_head_without_a_body_says_no_length(self, port: int) -> None:
        """Zero would be the length of what GET gets."""
        answer = await exchange(port, b"HEAD /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"content-length" not in answer
        assert b"content-length: 0\r\n" in await exchange(port, get("/empty", close=True))

    async def test_http_1_0_closes_unless_asked_to_keep_alive(self, port: int) -> None:
        kept = b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        answer = await exchange(port, kept, b"GET /2 HTTP/1.0\r\n\r\n")
        assert answer.count(b"connection: keep-alive\r\n") == answer.count(b"connection: close\r\n") == 1

    async def test_a_handler_that_fails_is_a_500_and_the_connection_goes_on(self, port: int) -> None:
        answer = await exchange(port, get("/raise") + get("/", close=True))
        assert [answer.count(b"HTTP/1.1 500"), answer.count(b"HTTP/1.1 200")] == [1, 1]

    @pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b"])
    def test_a_header_is_one_line(self, value: str) -> None:
        with pytest.raises(ValueError, match="line break"):
            header_lines([("x", value)])


class TestLimits:
    async def test_a_body_that_grows_too_large_is_refused_before_its_end(self, port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"1f4\r\n" + b"x" * 500 + b"\r\n"
        answer = await exchange(port, head + chunk, chunk, chunk, chunk)
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.count(b"HTTP/1.1") == 1

    @pytest.mark.parametrize(("length", "status"), [(HEAD_BYTES_MAX - 100, 200), (HEAD_BYTES_MAX, 431)])
    async def test_all_headers_together_are_bounded(self, port: int, length: int, status: int) -> None:
        headers = [f"X-{number}: {'x' * (length // 4)}"[: length // 4] for number in range(4)]
        answer = await exchange(port, get("/", *headers, close=True))
        assert answer.startswith(f"HTTP/1.1 {status}".encode())

    async def test_a_head_without_end_is_refused(self, port: int) -> None:
        answer = await exchange(port, b"GET / HTTP/1.1\r\nX: ", *[b"x" * 100_000] * 5)
        assert answer.startswith(b"HTTP/1.1 431")

    async def test_what_is_not_http_is_refused_after_the_requests_before_it(self, port: int) -> None:
        answer = await exchange(port, get("/later") + b"BREW / HTTP/1.1\r\n\r\n" + get("/never"))
        assert answer.index(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 400")
        assert b"/never" not in answer

    async def test_a_client_that_does_not_read_is_not_answered_without_end(self, port: int, echo: Echo) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b"x" * 900
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + body
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request * 40_000)
        unread = -1
        async with asyncio.timeout(30):
            # The buffers of both ends take a while to fill.
            while len(echo.handled) != unread:
                unread = len(echo.handled)
                await asyncio.sleep(0.5)
        assert 0 < unread < 40_000
        writer.transport.abort()
