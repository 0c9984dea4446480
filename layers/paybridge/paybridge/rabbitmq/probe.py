"""Check without a login that the broker speaks AMQP."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from paybridge.core.errors import BrokerUnavailable

# A client's first eight bytes; the server answers with a method frame (type 1) on channel 0: connection.start.
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME_START = b"\x01\x00\x00"
DEADLINE_SECONDS = 2.0
_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


class AmqpProbe:
    """Checks the broker at an AMQP URL."""

    def __init__(self, url: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "amqps"
        self._address = (parts.hostname or "localhost", parts.port or _DEFAULT_PORTS[parts.scheme])
        self._deadline_seconds = deadline_seconds

    def check(self) -> None:
        """Return once the broker has answered the AMQP header; raise BrokerUnavailable."""
        try:
            answer = self._first_bytes()
        except OSError as error:
            raise BrokerUnavailable("The broker does not answer.") from error
        if answer != METHOD_FRAME_START:
            raise BrokerUnavailable("The server at the broker's address does not speak AMQP 0-9-1.")

    def _first_bytes(self) -> bytes:
        with socket.create_connection(self._address, timeout=self._deadline_seconds) as plain:
            if not self._tls:
                return self._greet(plain)
            with ssl.create_default_context().wrap_socket(plain, server_hostname=self._address[0]) as encrypted:
                return self._greet(encrypted)

    def _greet(self, connection: socket.socket) -> bytes:
        connection.sendall(PROTOCOL_HEADER)
        return connection.recv(len(METHOD_FRAME_START))
