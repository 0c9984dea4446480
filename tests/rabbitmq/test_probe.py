"""The probe that greets the broker without logging in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.testkit import servers
from paybridge.core.errors import BrokerUnavailable
from paybridge.rabbitmq.probe import METHOD_FRAME_START, PROTOCOL_HEADER, AmqpProbe


@contextmanager
def server_that_says(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the URL of a server that answers a greeting with `answer`, or never, and the list of what it read."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(8))
                if answer is None:
                    connection.recv(1)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"amqp://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join()


class TestAmqpProbe:
    def test_a_broker_answers_the_greeting(self) -> None:
        with server_that_says(METHOD_FRAME_START + b"\x00\x00\x01\x00") as (url, heard):
            AmqpProbe(url).check()
        assert heard == [PROTOCOL_HEADER]

    @pytest.mark.parametrize("answer", [b"", b"AMQP\x00\x01\x00\x00", b"HTTP/1.1 400 Bad Request\r\n", None])
    def test_any_other_server_is_not_a_broker(self, answer: bytes | None) -> None:
        with server_that_says(answer) as (url, _), pytest.raises(BrokerUnavailable):
            AmqpProbe(url, deadline_seconds=0.2).check()

    def test_a_closed_port_is_not_a_broker(self) -> None:
        with pytest.raises(BrokerUnavailable):
            AmqpProbe("amqp://127.0.0.1:1").check()

    @pytest.mark.integration
    @pytest.mark.broker
    def test_the_real_broker_answers(self, broker: servers.Broker) -> None:
        AmqpProbe(broker.amqp_url).check()
