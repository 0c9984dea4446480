"""How a prepared statement goes to PostgreSQL and its rows come back, over a connection of pg8000.

pg8000 connects, logs in, prepares, and understands every message that the server may send. Only its way of running a
prepared statement is replaced here: it asks the server to flush after every step, which makes three answers and three
wake-ups of each statement, the first two of them before the commit. Here the steps leave as one write and are answered
as one, and values and rows are converted without a call of pg8000 for each.

https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, Final
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

_READ_BYTES: Final = 64 * 1024
_HEADER_BYTES: Final = 5
# A data row has the number of its columns behind the header.
_ROW_HEADER_BYTES: Final = 7
_HEADER: Final = Struct("!ci").unpack_from
_PACK_LENGTH: Final = Struct("!i").pack
_UNPACK_LENGTH: Final = Struct("!i").unpack_from
_COUNT: Final = Struct("!H").pack
_NULL: Final = _PACK_LENGTH(-1)
_NO_FORMATS: Final = b"\x00\x00"

_new_object = object.__new__
_set_attribute = object.__setattr__


class Prepared:
    """A statement that the server knows by a name."""

    __slots__ = ("_bind_head", "columns", "connection", "readers", "sql")

    def __init__(self, connection: dbapi.Connection, sql: str) -> None:
        """Prepares the statement: one round trip."""
        name, self.columns, _ = connection.prepare_statement(sql, ())
        self.connection = connection
        self.sql = sql
        self.readers = [_reader(connection, column["type_oid"]) for column in self.columns or ()]
        # The portal has no name, and every parameter goes as text.
        self._bind_head = b"\x00" + name + _NO_FORMATS

    def run(self, values: Sequence[Any]) -> list[Row]:
        """Binds the values, executes and returns the rows: one write, and one read where the rows are few."""
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
    """A value of a type that is none of the usual ones, as pg8000 writes it."""
    text: str = make_param(connection.py_types, value)
    return text.encode()


def _receive(connection: dbapi.Connection, readers: Iterable[Reader], context: Context) -> None:
    """Takes messages until the server is ready again and nothing of what was read is left.

    Rows are read here; whatever else may come (errors, notices, notifications) is pg8000's to understand.
    """
    read, handlers = connection._sock.read1, connection.message_types
    buffer, position, is_ready = b"", 0, False
    while not is_ready or position < len(buffer):
        code, end = _next_frame(buffer, position)
        if end > len(buffer):
            chunk = read(_READ_BYTES)
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
    """The kind of the message that begins at the position and where it ends, as far as its header has arrived."""
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
    # UUID's own constructor looks for every way in which an id may be written; the server writes one.
    value = _new_object(UUID)
    _set_attribute(value, "int", int(data.replace(b"-", b""), 16))
    _set_attribute(value, "is_safe", SafeUUID.unknown)
    return value


def _read_time(data: bytes) -> datetime:
    return datetime.fromisoformat(data.decode())


_WRITERS: Final[dict[type, Writer]] = {
    str: str.encode,
    UUID: lambda value: b"%032x" % value.int,
    int: lambda value: b"%d" % value,
    datetime: lambda value: value.isoformat().encode(),
    bytes: lambda value: b"\\x" + value.hex().encode(),
}

# By the number of the type in PostgreSQL's catalogue.
_READERS: Final[dict[int, Reader]] = {
    20: int,  # bigint
    21: int,  # smallint
    23: int,  # integer
    25: bytes.decode,  # text
    1184: _read_time,  # timestamptz
    2950: _read_uuid,  # uuid
}
