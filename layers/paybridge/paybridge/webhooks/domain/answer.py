"""Read the head of a receiver's answer as browsers and curl do: the status line decides, the rest is read leniently.

A receiver that has processed a webhook and says so must not be told again because of a header that a strict parser
refuses. So nothing after the status line can fail; it only decides whether the connection can be kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Version and status. Some servers leave out the reason, the blank before it or the minor version.
_STATUS_LINE = re.compile(rb"HTTP/(\d+(?:\.\d+)?)[ \t]+([1-5]\d\d)(?![0-9A-Za-z])", re.IGNORECASE)
_CONTENT_LENGTH_DIGITS_MAX = 15
SWITCHING_PROTOCOLS = 101
# Answers that have no body, whatever their headers say.
_BODILESS = (SWITCHING_PROTOCOLS, 204, 304)


@dataclass(frozen=True, slots=True)
class StatusLine:
    """The first line of an answer. `can_keep`: its version of HTTP keeps connections."""

    status: int
    can_keep: bool

    @property
    def is_interim(self) -> bool:
        """Return whether another answer follows, as after 100 and 103."""
        return 100 <= self.status <= 199 and self.status != SWITCHING_PROTOCOLS


@dataclass(frozen=True, slots=True)
class Framing:
    """How the body ends: after `length` bytes, with the last chunk, or if neither is known with the connection."""

    length: int | None
    is_chunked: bool
    can_keep: bool


def parse_status_line(line: bytes) -> StatusLine | None:
    """Return what the line says, or None if it is no status line of HTTP with a status from 100 to 599."""
    match = _STATUS_LINE.match(line)
    return StatusLine(int(match[2]), match[1] == b"1.1") if match else None


def header_values(lines: Iterable[bytes], name: bytes) -> list[bytes]:
    """Return the values of every header with this lower-case name; a folded value is one value."""
    values: list[bytes] = []
    is_wanted = False
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if is_wanted:
                values[-1] = (values[-1] + b" " + line.strip()).strip()
            continue
        key, colon, value = line.partition(b":")
        is_wanted = bool(colon) and key.strip().lower() == name
        if is_wanted:
            values.append(value.strip())
    return values


def framing(status: StatusLine, lines: list[bytes]) -> Framing:
    """Return how the body of the answer with these header lines ends."""
    lengths = {part.strip() for value in header_values(lines, b"content-length") for part in value.split(b",")}
    codings = [
        part.strip().lower() for value in header_values(lines, b"transfer-encoding") for part in value.split(b",")
    ]
    options = [part.strip().lower() for value in header_values(lines, b"connection") for part in value.split(b",")]
    can_keep = status.can_keep and b"close" not in options
    if status.status in _BODILESS:
        # A body that comes all the same would be taken for the next answer.
        is_bodiless = lengths <= {b"0"} and not codings and status.status != SWITCHING_PROTOCOLS
        return Framing(0, is_chunked=False, can_keep=can_keep and is_bodiless)
    if codings:
        return Framing(None, is_chunked=codings == [b"chunked"], can_keep=can_keep and not lengths)
    length = _only_length(lengths)
    return Framing(length, is_chunked=False, can_keep=can_keep and length is not None)


def parse_chunk_size(line: bytes) -> int | None:
    """Return the size that begins a chunk, or None if the line has none."""
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,12}", digits):
        return None
    return int(digits, 16)


def _only_length(lengths: set[bytes]) -> int | None:
    if len(lengths) != 1:
        return None
    (text,) = lengths
    return int(text) if text.isdigit() and len(text) <= _CONTENT_LENGTH_DIGITS_MAX else None
