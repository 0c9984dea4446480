"""Requests and responses as they are on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus


class WireRequest:
    """One request as it came. `target` is path and query, undecoded. `body` is None if it is too large."""

    __slots__ = ("_head", "body", "keep_alive", "method", "target", "version")

    def __init__(
        self, method: str, target: str, version: str, head: list[bytes], body: bytes | None, *, keep_alive: bool
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.body = body
        self.keep_alive = keep_alive
        # Names and values alternate.
        self._head = head

    def headers(self) -> list[tuple[str, str]]:
        """Return lower-case names with their values, in order. Malformed UTF-8 becomes replacement characters."""
        return [
            (name.decode("latin-1").lower(), value.decode("utf-8", "replace").strip(" \t"))
            for name, value in zip(self._head[::2], self._head[1::2], strict=True)
        ]


class WireResponse:
    """One response. `headers` are whole lines, from `header_lines`."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as bytes for `WireResponse`. Raises ValueError for one that is not a single line."""
    pairs = list(headers)
    text = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    if not text.count("\r") == text.count("\n") == len(pairs) or "\0" in text:
        raise ValueError("a header holds a line break or a NUL")
    return text.encode()


def answer_bytes(response: WireResponse, request: WireRequest, *, keep_alive: bool) -> bytes:
    """Return the bytes of the response to a request: status line, headers and body."""
    status, body = response.status, response.body
    has_body = status not in {204, 304}
    connection = b""
    if not keep_alive:
        connection = b"connection: close\r\n"
    elif request.version == "1.0":
        connection = b"connection: keep-alive\r\n"
    # The length in an answer to HEAD would be that of the body that GET gets, which may not be known here.
    is_length_known = has_body and (request.method != "HEAD" or body)
    length = b"content-length: %d\r\n" % len(body) if is_length_known else b""
    head = b"".join((_status_line(status), response.headers, connection, length, _date_line(int(time.time()))))
    return head + body if has_body and request.method != "HEAD" else head


@lru_cache
def _status_line(status: int) -> bytes:
    known = status in HTTPStatus.__members__.values()
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase if known else ''}\r\n".encode()


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    """Return the last line of a head."""
    return f"date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
