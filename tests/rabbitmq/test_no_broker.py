"""Clients of the broker at an address where something else answers: a proxy without a broker, or another program.

Under uvloop, as in production: asyncio's own loop notices the end of a connection at other moments.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from pamqp import frame
from pamqp.commands import Channel, Connection

from infra.sam_template.template import read_template
from local.bridge import rabbitmq as bridge
from local.bridge.rabbitmq import queue_mappings
from local.lambda_host.model import InvocationResult
from paybridge.core.errors import BrokerUnavailable
from paybridge.operations.measure import measure_queues
from paybridge.rabbitmq.batch import Poison, dead_letter
from paybridge.rabbitmq.depths import AmqpQueueDepths
from paybridge.rabbitmq.probe import AmqpProbe
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.rabbitmq.subscription import subscribe
from tests.support.tls import self_signed, server_context

TEMPLATE = Path(__file__).parents[1] / "support" / "lambda_functions" / "template.yaml"

# The defect shows in some tries of a hundred.
TRIES = 200

Answer = Callable[[socket.socket], None]
Client = Callable[[str], Awaitable[object]]


async def publish(url: str) -> None:
    async with open_publisher(url):
        raise AssertionError("there is no broker")


async def consume(url: str) -> None:
    async with subscribe(url, ["payments.new"], 10):
        raise AssertionError("there is no broker")


async def read_depths(url: str) -> None:
    await AmqpQueueDepths(url).read(["payments.new"])


async def measure(url: str) -> None:
    await measure_queues(AmqpQueueDepths(url), ["payments.new", "payments.dead"])


async def reject(url: str) -> None:
    await dead_letter(url, [Poison("payments.new", "m-1", b"{}", "because")])


async def probe(url: str) -> None:
    await asyncio.to_thread(AmqpProbe(url, deadline_seconds=1).check)


CLIENTS = [publish, consume, read_depths, measure, reject, probe]


def start(**properties: object) -> bytes:
    """Return the frame with which a broker begins."""
    method = Connection.Start(0, 9, properties, "PLAIN", "en_US")  # type: ignore[arg-type]
    return frame.marshal(method, 0)


def close_at_once(_connection: socket.socket) -> None:
    """Answer nothing, as a proxy without a broker."""


def reset_at_once(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close_after_the_greeting(connection: socket.socket) -> None:
    connection.recv(8)


def speak_http(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def speak_at_random(connection: socket.socket) -> None:
    # Not the beginning of a frame so long that its end is waited for.
    connection.sendall(b"\x01\x00\x00\x00\x00\x00\x40" + os.urandom(0x41))


def speak_another_version(connection: socket.socket) -> None:
    connection.recv(8)
    connection.sendall(b"AMQP\x00\x01\x00\x00")


def refuse_plain_text(connection: socket.socket) -> None:
    """Answer as a TLS server does to a client that speaks no TLS."""
    connection.recv(8)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")


def end_within_start(connection: socket.socket) -> None:
    connection.recv(8)
    connection.sendall(start()[:20])


def end_after_start(connection: socket.socket) -> None:
    connection.recv(8)
    connection.sendall(start())


def end_after_the_login(connection: socket.socket) -> None:
    connection.recv(8)
    connection.sendall(start())
    connection.recv(4096)


def tune(connection: socket.socket, **properties: object) -> None:
    connection.recv(8)
    connection.sendall(start(**properties))
    connection.recv(4096)
    connection.sendall(frame.marshal(Connection.Tune(2047, 131072, 60), 0))
    connection.recv(4096)


def end_after_tune(connection: socket.socket) -> None:
    tune(connection)


def open_without_capabilities(connection: socket.socket) -> None:
    tune(connection)
    connection.sendall(frame.marshal(Connection.OpenOk(), 0))
    connection.recv(4096)


def end_when_open(connection: socket.socket) -> None:
    tune(connection, capabilities={"publisher_confirms": True})
    connection.sendall(frame.marshal(Connection.OpenOk(), 0))


def end_when_a_channel_opens(connection: socket.socket) -> None:
    end_when_open(connection)
    connection.recv(4096)


def end_after_a_channel(connection: socket.socket) -> None:
    end_when_open(connection)
    connection.recv(4096)
    connection.sendall(frame.marshal(Channel.OpenOk(), 1))
    connection.recv(4096)


STRANGERS = [
    reset_at_once,
    close_after_the_greeting,
    speak_http,
    speak_another_version,
    refuse_plain_text,
]
ENDINGS = [
    *STRANGERS,
    speak_at_random,
    end_within_start,
    end_after_start,
    end_after_the_login,
    end_after_tune,
    open_without_capabilities,
    end_when_open,
    end_when_a_channel_opens,
    end_after_a_channel,
]


@contextmanager
def server_that(answer: Answer) -> Iterator[str]:
    """Yield the AMQP URL of a server that answers each connection and then closes it."""
    with socket.create_server(("127.0.0.1", 0), backlog=TRIES) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)


def try_often(client: Client, url: str, tries: int) -> list[str]:
    """Return what the client raised other than BrokerUnavailable."""

    async def run() -> list[str]:
        strange = []
        for _ in range(tries):
            try:
                await client(url)
            except BrokerUnavailable:
                continue
            except BaseException as error:  # noqa: BLE001 - a cancellation without a request would count as well
                strange.append(repr(error))
            else:
                strange.append("no error")
        return strange

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


@pytest.mark.parametrize("client", CLIENTS)
class TestClients:
    def test_a_connection_that_is_accepted_and_closed_means_no_broker(self, client: Client) -> None:
        with server_that(close_at_once) as url:
            assert try_often(client, url, TRIES) == []

    def test_tls_spoken_to_a_plain_port_means_no_broker(self, client: Client) -> None:
        with server_that(close_after_the_greeting) as url:
            assert try_often(client, url.replace("amqp:", "amqps:"), 20) == []

    def test_a_certificate_that_is_not_trusted_means_no_broker(self, client: Client, tmp_path: Path) -> None:
        certificate = tmp_path / "server.pem"
        certificate.write_bytes(self_signed("broker.test"))
        context = server_context(certificate)

        def encrypt(connection: socket.socket) -> None:
            with suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).close()

        with server_that(encrypt) as url:
            assert try_often(client, url.replace("amqp:", "amqps:"), 5) == []

    def test_a_server_that_never_answers_is_given_up(self, client: Client) -> None:
        silence = threading.Event()

        def wait(_connection: socket.socket) -> None:
            silence.wait(30)

        with server_that(wait) as url:
            assert try_often(client, url, 1) == []
            silence.set()


# The probe asks for the beginning of a broker's answer and reads no further.
@pytest.mark.parametrize(
    ("client", "ending"),
    [(client, ending) for client in CLIENTS for ending in (STRANGERS if client is probe else ENDINGS)],
)
def test_whatever_answers_instead_means_no_broker(client: Client, ending: Answer) -> None:
    with server_that(ending) as url:
        assert try_often(client, url, 20) == []


class _NoInvoker:
    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        raise AssertionError(function_name)


class TestBridge:
    @pytest.mark.parametrize("answer", [close_at_once, *ENDINGS])
    def test_the_local_mapping_tries_again(self, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bridge, "_RECONNECT_SECONDS_MIN", 0.0)
        tries = TRIES if answer is close_at_once else 20
        counted = threading.Semaphore(0)

        def count(connection: socket.socket) -> None:
            counted.release()
            answer(connection)

        async def run(url: str) -> None:
            template = read_template(TEMPLATE, {"Batches": "/dev/null"})
            (mapping,) = queue_mappings(list(template.functions.values()), _NoInvoker(), url)  # type: ignore[arg-type]
            running = asyncio.create_task(mapping.run())
            for _ in range(tries):
                assert await asyncio.to_thread(counted.acquire, timeout=10)
                assert not running.done(), running
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        with server_that(count) as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(url))
