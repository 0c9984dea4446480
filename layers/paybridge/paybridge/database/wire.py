"""Run prepared statements over a connection of pg8000; the one module that touches what is private to pg8000.

pg8000 connects, logs in, prepares, and understands every message that the server may send. Only the way a prepared
statement runs is replaced here. pg8000 asks the server to flush after every step, which costs three answers and three
wake-ups a statement, two of them before the commit. Here all steps leave in one write and come back in one answer, and
values and rows are converted without a call of pg8000 for each.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from struct import Struct
from typing import Any
from uuid import UUID, SafeUUID

from pg8000 import dbapi
from pg8000.converters import make_param
from pg8000.core import (
    BIND,
    BIND_COMPLETE,
    DATA_ROW,
    EXECUTE_MSG,
    READY_FOR_QUERY,
    SYNC_MSG,
    Context,
)
from pg8000.exceptions import InterfaceError

Row = list[Any]
Writer = Callable[[Any], bytes]
Reader = Callable[[bytes], Any]

_READ_BYTES = 64 * 1024
_HEADER_BYTES = 5
# In a data row the number of columns follows the header.
_ROW_HEADER_BYTES = 7
_HEADER = Struct("!ci").unpack_from
_PACK_LENGTH = Struct("!i").pack
_UNPACK_LENGTH = Struct("!i").unpack_from
_COUNT = Struct("!H").pack
_NULL = _PACK_LENGTH(-1)
_NO_FORMATS = b"\x00\x00"

_new_object = object.__new__
_set_attribute = object.__setattr__


def set_up_socket(connection: dbapi.Connection, silence_seconds_max: float) -> None:
    """Send every write at once. Fail a read after `silence_seconds_max` of silence."""
    # A statement for a whole batch leaves in several pieces. Nagle's algorithm would hold the last one back until the
    # server acknowledges those before it, which the server puts off for 40 ms.
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection._usock.settimeout(silence_seconds_max)


def is_readable(connection: dbapi.Connection) -> bool:
    """Tell whether the server has sent something, or closed the connection, since the last statement."""
    readable, _, _ = select.select([connection._usock], [], [], 0)
    return bool(readable)


async def heard(connection: dbapi.Connection, seconds_max: float) -> bool:
    """Wait without blocking the event loop until the server speaks, and return whether it did within `seconds_max`."""
    # The socket is taken now, because closing the connection forgets it.
    usock = connection._usock
    if usock is None or connection.notifications or _is_unread(connection):
        return True
    loop = asyncio.get_running_loop()
    spoke = asyncio.Event()
    loop.add_reader(usock, spoke.set)
    try:
        async with asyncio.timeout(seconds_max):
            return await spoke.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(usock)


def _is_unread(connection: dbapi.Connection) -> bool:
    # What came right behind the answer to the last statement may be in a buffer already, of pg8000 or of TLS. Then the
    # socket stays silent. A socket that does not block lets us look without waiting.
    usock = connection._usock
    patience_seconds = usock.gettimeout()
    usock.setblocking(False)
    try:
        return bool(connection._sock.peek(1))
    except ssl.SSLWantReadError:
        return False
    except OSError:
        return True
    finally:
        usock.settimeout(patience_seconds)


class Prepared:
    """A statement that the server knows by a name."""

    __slots__ = ("_bind_head", "columns", "connection", "readers", "sql")

    def __init__(self, connection: dbapi.Connection, sql: str) -> None:
        """Prepare the statement: one round trip."""
        name, self.columns, _ = connection.prepare_statement(sql, ())
        self.connection = connection
        self.sql = sql
        self.readers = [_reader(connection, column["type_oid"]) for column in self.columns or ()]
        # The portal has no name, and every parameter goes as text.
        self._bind_head = b"\x00" + name + _NO_FORMATS

    def run(self, values: Sequence[Any]) -> list[Row]:
        """Bind the values, execute and return the rows: one write, and one read if the rows are few."""
        context = Context(self.sql, columns=self.columns)
        self.connection._usock.sendall(self._bind(values) + EXECUTE_MSG + SYNC_MSG)
        _receive(self.connection, self.readers, context)
        if context.error is not None:
            raise context.error
        rows: list[Row] = context.rows or []
        return rows

    def _bind(self, values: Sequence[Any]) -> bytes:
        parts = [self._bind_head, _COUNT(len(values))]
        for value in values:
            if value is None:
                parts.append(_NULL)
            else:
                writer = _WRITERS.get(type(value))
                data = writer(value) if writer is not None else _written(self.connection, value)
                parts += (_PACK_LENGTH(len(data)), data)
        parts.append(_NO_FORMATS)
        body = b"".join(parts)
        return b"".join((BIND, _PACK_LENGTH(len(body) + 4), body))


def _written(connection: dbapi.Connection, value: Any) -> bytes:
    """Write a value of an uncommon type as pg8000 does."""
    text: str = make_param(connection.py_types, value)
    return text.encode()


def _receive(connection: dbapi.Connection, readers: Iterable[Reader], context: Context) -> None:
    """Read messages until the server is ready again and the buffer is empty.

    Rows are read here. Everything else (errors, notices, notifications) goes to the handlers of pg8000.
    """
    read, read_all, handlers = connection._sock.read1, connection._sock.read, connection.message_types
    buffer, position, is_ready = b"", 0, False
    while not is_ready or position < len(buffer):
        code, end = _next_frame(buffer, position)
        if end > len(buffer):
            missing = end - len(buffer)
            # A value of megabytes is read at once: the buffer would else be copied for each piece of it.
            chunk = read(_READ_BYTES) if missing <= _READ_BYTES else read_all(missing)
            if not chunk:
                raise InterfaceError("network error")
            buffer, position = buffer[position:] + chunk, 0
        else:
            if code == DATA_ROW:
                context.rows.append(_row(buffer, position + _ROW_HEADER_BYTES, readers))
            elif code != BIND_COMPLETE:
                handlers[code](buffer[position + _HEADER_BYTES : end], context)
                is_ready = is_ready or code == READY_FOR_QUERY
            position = end


def _next_frame(buffer: bytes, position: int) -> tuple[bytes, int]:
    """Return the kind of the message that begins at the position and where it ends; no kind without its header."""
    if len(buffer) < position + _HEADER_BYTES:
        return b"", position + _HEADER_BYTES
    code, length = _HEADER(buffer, position)
    return code, position + 1 + length


def _row(buffer: bytes, position: int, readers: Iterable[Reader]) -> Row:
    row: Row = []
    for reader in readers:
        (length,) = _UNPACK_LENGTH(buffer, position)
        position += 4
        if length < 0:
            row.append(None)
        else:
            row.append(reader(buffer[position : position + length]))
            position += length
    return row


def _reader(connection: dbapi.Connection, type_oid: int) -> Reader:
    reader = _READERS.get(type_oid)
    if reader is not None:
        return reader
    read_text: Callable[[str], Any] = connection.pg_types[type_oid]
    return lambda data: read_text(data.decode())


def _read_uuid(data: bytes) -> UUID:
    # The constructor of UUID accepts every notation. The server uses one.
    value = _new_object(UUID)
    _set_attribute(value, "int", int(data.replace(b"-", b""), 16))
    _set_attribute(value, "is_safe", SafeUUID.unknown)
    return value


def _read_time(data: bytes) -> datetime:
    return datetime.fromisoformat(data.decode())


_WRITERS: dict[type, Writer] = {
    str: str.encode,
    UUID: lambda value: b"%032x" % value.int,
    int: lambda value: b"%d" % value,
    datetime: lambda value: value.isoformat().encode(),
    bytes: lambda value: b"\\x" + value.hex().encode(),
}

# By the OID of the type in PostgreSQL's catalogue.
_READERS: dict[int, Reader] = {
    20: int,  # bigint
    21: int,  # smallint
    23: int,  # integer
    25: bytes.decode,  # text
    1184: _read_time,  # timestamptz
    2950: _read_uuid,  # uuid
}
