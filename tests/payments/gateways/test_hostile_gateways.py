"""The outcome of a charge when the gateway, or an impostor, breaks HTTP, floods, drips or hangs up."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from local.testkit.raw_servers import Respond, raw_server
from paybridge.payments.domain.gateway_answers import Fault, GatewayAnswer, Succeeded, Unknown
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.http import ANSWER_BYTES_MAX, HttpGateway
from paybridge.payments.ports import GatewayRequest
from tests.support.tls import self_signed, server_context

pytestmark = pytest.mark.integration

# How long to wait for an answer that comes, however busy the machine is.
TIMEOUT_SECONDS = 30.0
# An answer that never ends is given up before this, or the deadline does not work.
HANGS_AFTER_SECONDS = 30.0
REQUEST = GatewayRequest(
    operation_id=uuid.UUID(int=7),
    kind=Kind.CHARGE,
    payment_id=uuid.UUID(int=7),
    amount_minor=10050,
    currency="RUB",
    currency_places=2,
    payment_method="tok_success",
    idempotency_key="7:charge",
)
CHARGE = orjson.dumps(
    {
        "id": "ch_1",
        "reference": str(REQUEST.payment_id),
        "kind": "charge",
        "amount_minor": 10050,
        "currency": "RUB",
        "status": "succeeded",
    }
)
LENGTH = b"Content-Length: %d\r\n\r\n" % len(CHARGE)
GOOD = b"HTTP/1.1 201 Created\r\n" + LENGTH + CHARGE
TOO_LARGE = CHARGE + b" " * ANSWER_BYTES_MAX


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@asynccontextmanager
async def gateway_at(
    port: int, timeout_seconds: float = TIMEOUT_SECONDS, scheme: str = "http"
) -> AsyncIterator[HttpGateway]:
    gateway = HttpGateway(f"{scheme}://127.0.0.1:{port}", timeout_seconds)
    yield gateway
    await gateway.close()


async def charge_by(respond: Respond | bytes, timeout_seconds: float = TIMEOUT_SECONDS) -> GatewayAnswer:
    async with raw_server(respond) as server, gateway_at(server.port, timeout_seconds) as gateway:
        return await gateway.send(REQUEST)


class TestAnswers:
    @pytest.mark.parametrize(
        "answer",
        [
            GOOD,
            b"HTTP/1.0 201 Created\r\n\r\n" + CHARGE,
            b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(CHARGE[:9], CHARGE[9:]),
            b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n" + CHARGE,
        ],
    )
    async def test_every_valid_form_of_a_success_is_understood(self, answer: bytes) -> None:
        assert await charge_by(answer) == Succeeded("ch_1")

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\r\n\r\n",
            CHARGE,
            b"garbage\r\n\r\n" + CHARGE,
            b"HTTP/1.1 20 Created\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 999 Created\r\n" + LENGTH + CHARGE,
            b"HTTP/2.0 201 Created\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n" + CHARGE,
            b"HTTP/1.1 201 Created\r\nContent-Length: 1e3\r\n\r\n" + CHARGE,
            b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % (len(CHARGE) + 1) + CHARGE,
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(CHARGE).removesuffix(b"0\r\n\r\n"),
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + CHARGE,
            b"HTTP/1.1 201 Created\r\nBad Name: x\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 201 Created\r\n" + b"x: y\r\n" * 1_000 + LENGTH + CHARGE,
            b"HTTP/1.1 201 Created\r\nx: " + b"y" * 1_000_000 + b"\r\n" + LENGTH + CHARGE,
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + CHARGE,
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n\x1f\x8b\x08\x00charge",
            b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(TOO_LARGE) + TOO_LARGE,
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(TOO_LARGE),
        ],
    )
    async def test_an_invalid_answer_is_unknown(self, answer: bytes) -> None:
        assert isinstance(await charge_by(answer), Unknown)

    async def test_an_endless_answer_ends_by_its_size(self) -> None:
        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\n\r\n")
            while True:
                writer.write(b" " * 16_384)
                await writer.drain()

        answer = await charge_by(flood)
        assert answer == Unknown(Fault.UNREADABLE, "an answer that cannot be read: AnswerTooLarge")

    async def test_no_answer_in_time_is_a_timeout(self) -> None:
        async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        answer = await charge_by(wait, timeout_seconds=0.2)
        assert answer == Unknown(Fault.NO_ANSWER, "no answer before the deadline")

    async def test_a_dripping_answer_ends_at_the_deadline(self) -> None:
        async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 999999\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

        started = time.monotonic()
        async with asyncio.timeout(HANGS_AFTER_SECONDS):
            answer = await charge_by(drip, timeout_seconds=0.5)
        assert answer == Unknown(Fault.NO_ANSWER, "no answer before the deadline")
        assert time.monotonic() - started > 0.4


class TestConnections:
    async def test_a_connection_is_reused(self) -> None:
        async with raw_server(GOOD, keep_alive=True) as server, gateway_at(server.port) as gateway:
            for _ in range(5):
                assert await gateway.send(REQUEST) == Succeeded("ch_1")
            assert server.connections == 1

    async def test_bytes_after_an_answer_are_not_the_next_answer(self) -> None:
        other = GOOD.replace(b"ch_1", b"ch_2")
        answers = iter([GOOD + other, GOOD])

        async def respond(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(next(answers))
            await writer.drain()

        async with raw_server(respond, keep_alive=True) as server, gateway_at(server.port) as gateway:
            assert [await gateway.send(REQUEST) for _ in range(2)] == [Succeeded("ch_1")] * 2
            assert server.connections == 2

    async def test_a_closed_connection_is_replaced(self) -> None:
        async with raw_server(GOOD) as server, gateway_at(server.port) as gateway:
            for _ in range(3):
                assert await gateway.send(REQUEST) == Succeeded("ch_1")
                await asyncio.sleep(0.05)
            assert server.connections == 3

    async def test_a_cut_off_request_is_not_repeated(self) -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with raw_server(hang_up) as server, gateway_at(server.port) as gateway:
            assert isinstance(await gateway.send(REQUEST), Unknown)
            assert len(server.heads) == 1

    async def test_all_calls_of_a_batch_run_at_once(self) -> None:
        all_calls = asyncio.Barrier(200)

        async def together(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await all_calls.wait()
            writer.write(GOOD)
            await writer.drain()

        async with raw_server(together) as server, gateway_at(server.port) as gateway:
            answers = await asyncio.gather(*(gateway.send(REQUEST) for _ in range(200)))
            assert answers == [Succeeded("ch_1")] * 200

    async def test_proxy_variables_of_the_environment_are_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw_server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            assert await charge_by(GOOD) == Succeeded("ch_1")
            assert proxy.connections == 0

    async def test_the_request_has_its_key_and_no_unintended_header(self) -> None:
        cookie = GOOD.replace(b"Content-Length", b"Set-Cookie: a=b\r\nContent-Length")
        async with raw_server(cookie, keep_alive=True) as server, gateway_at(server.port) as gateway:
            for _ in range(2):
                await gateway.send(replace(REQUEST, idempotency_key="k:charge"))
            names = {line.partition(b":")[0].lower() for line in server.heads[1].split(b"\r\n")[1:] if line}
            assert b"idempotency-key: k:charge" in server.heads[1].lower()
            assert names == {b"host", b"user-agent", b"accept", b"content-type", b"content-length", b"idempotency-key"}


class TestTls:
    async def test_only_a_trusted_certificate_for_the_host_name_is_accepted(self, tmp_path: Path) -> None:
        path = tmp_path / "server.pem"
        path.write_bytes(self_signed("localhost"))
        async with raw_server(GOOD, tls=server_context(path)) as server:
            answers = []
            for host, authority in (("localhost", True), ("localhost", False), ("127.0.0.1", True)):
                pem = path.read_bytes() if authority else None
                gateway = HttpGateway(f"https://{host}:{server.port}", 5, pem)
                answers.append(type(await gateway.send(REQUEST)))
                await gateway.close()
            assert answers == [Succeeded, Unknown, Unknown]
            assert len(server.heads) == 1
