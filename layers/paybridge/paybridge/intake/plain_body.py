"""The body of a message as it was before its sender compressed it."""

from __future__ import annotations

import zlib

from paybridge.core.errors import InvalidInput
from paybridge.core.strict_json import BODY_BYTES_MAX

GZIP_MAGIC = b"\x1f\x8b"
# The argument of zlib that reads a gzip header.
_GZIP_WINDOW = 31
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})
_PLAIN_NAMES = frozenset({"", "identity", "utf-8", "utf8"})


def plain_body(body: bytes, content_encoding: str) -> bytes:
    """Return the body, inflated if it is gzip, up to one byte more than a body may have.

    The first bytes decide, because a message that was dead-lettered or handed back has lost its content encoding. No
    JSON begins as gzip does. Raises InvalidInput (`content_encoding_unsupported`, `gzip_invalid`).
    """
    encoding = content_encoding.strip().lower()
    if encoding not in _GZIP_NAMES | _PLAIN_NAMES:
        raise InvalidInput("content_encoding_unsupported", "Send the body plain or as gzip.")
    if body.startswith(GZIP_MAGIC):
        return _inflated(body)
    if encoding in _GZIP_NAMES:
        raise InvalidInput("gzip_invalid", "The content encoding is gzip, and the body is not.")
    return body


def _inflated(body: bytes) -> bytes:
    inflating = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = inflating.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise InvalidInput("gzip_invalid", "The body is not valid gzip.") from None
    if len(plain) <= BODY_BYTES_MAX and (not inflating.eof or inflating.unused_data):
        raise InvalidInput("gzip_invalid", "The body is not one whole gzip member.")
    return plain
