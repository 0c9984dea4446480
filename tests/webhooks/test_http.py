"""The sender of webhooks against hostile names, addresses and receivers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio

from local.testkit.live import eventually_async
from local.testkit.raw_servers import Respond, raw_server
from paybridge.webhooks import connection
from paybridge.webhooks.connection import KEPT_MAX, RESPONSE_BYTES_MAX, REST_SECONDS_MAX
from paybridge.webhooks.domain.address import LOOPBACK, IpAddress, IpNetwork
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.domain.webhook_url import read_target
from paybridge.webhooks.http import HttpWebhookSender
from tests.support.tls import self_signed, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

# To one program or another, each of these is this machine, a neighbour or its metadata service.
HOSTILE_HOSTS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "00000177.0.0.1",
    "127.0.0.01",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ip6-localhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "100.100.100.200",
    "168.63.129.16",
    "192.168.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "224.0.0.1",
    "255.255.255.255",
]


def resolving(*answers: list[str]) -> tuple[Callable[[str], object], list[str]]:
    """Return a resolver that gives these answers in turn, the last one for ever, and the names it was asked for."""
    asked: list[str] = []
    left = list(answers)

    async def resolve(host: str) -> list[IpAddress]:
        asked.append(host)
        return [ip_address(text) for text in (left.pop(0) if len(left) > 1 else left[0])]

    return resolve, asked


def sender_of(
    *answers: list[str], local_networks: tuple[IpNetwork, ...] = LOOPBACK, tls: ssl.SSLContext | None = None
) -> HttpWebhookSender:
    resolve, _ = resolving(*answers)
    return HttpWebhookSender(local_networks=local_networks, resolve=resolve, tls=tls)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def long_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep connections for longer than any test takes."""
    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 60.0)


@pytest_asyncio.fixture
async def local() -> AsyncIterator[HttpWebhookSender]:
    """A sender as on a developer's machine."""
    async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
        yield sender


@pytest_asyncio.fixture
async def production() -> AsyncIterator[HttpWebhookSender]:
    """A sender as in the cloud."""
    async with HttpWebhookSender(connect_timeout_seconds=15) as sender:
        yield sender


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificate of `receiver.test`, with its key."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(self_signed("receiver.test"))
    return path


async def send(sender: HttpWebhookSender, url: str, timeout_seconds: float = 20) -> SendResult:
    return await sender.send(url, {"webhook-id": "e-1"}, b"{}", timeout_seconds)


def dripping_after(status: int, dripping: bytes) -> Respond:
    """Return what answers with this status, and then with these bytes again and again."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d OK\r\n" % status)
        while True:
            writer.write(dripping)
            await writer.drain()
            await asyncio.sleep(0.05)

    return drip


class TestAddresses:
    @pytest.mark.parametrize("host", HOSTILE_HOSTS)
    async def test_no_spelling_reaches_a_private_address(self, production: HttpWebhookSender, host: str) -> None:
        result = await send(production, f"https://{host}/")
        assert result.status_code is None
        assert result.error in {"address_not_allowed", "url_not_allowed", "connect_failed"}

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"])
    async def test_a_name_that_resolves_to_loopback_is_refused_by_its_address(
        self, production: HttpWebhookSender, host: str
    ) -> None:
        assert (await send(production, f"https://{host}/")).error == "address_not_allowed"

    @pytest.mark.parametrize("host", HOSTILE_HOSTS)
    async def test_on_a_developers_machine_only_plain_loopback_is_reached(
        self, local: HttpWebhookSender, host: str
    ) -> None:
        async with raw_server(OK) as server:
            result = await send(local, f"http://{host}:{server.port}/")
            reached = bool(server.heads)
        # Loopback may be reached there, by a spelling that means plain loopback and nothing else.
        assert reached == (result.status_code == 200)
        if host.startswith(("[::f", "[64", "[2", "[f", "169", "10.", "192", "0.0.0.0", "[::]")) or host == "0":
            assert not reached

    async def test_one_private_address_among_public_ones_refuses_the_name(self) -> None:
        async with sender_of(["8.8.8.8", "10.0.0.1"]) as sender:
            assert (await send(sender, "https://example.test/")).error == "address_not_allowed"

    async def test_a_name_without_addresses_cannot_be_connected_to(self) -> None:
        async with sender_of([]) as sender:
            assert (await send(sender, "https://example.test/")).error == "connect_failed"

    async def test_the_connection_goes_to_the_address_that_was_checked(self) -> None:
        resolve, asked = resolving(["127.0.0.1"], ["10.0.0.1"])
        async with (
            raw_server(LAST) as server,
            HttpWebhookSender(local_networks=LOOPBACK, resolve=resolve) as sender,  # type: ignore[arg-type]
        ):
            assert (await send(sender, f"http://rebound.test:{server.port}/")).status_code == 200
            assert asked == ["rebound.test"]
            # The next connection resolves the name to its new address, and refuses it.
            assert (await send(sender, f"http://rebound.test:{server.port}/")).error == "address_not_allowed"
        assert len(server.heads) == 1
        assert b"Host: rebound.test" in server.heads[0]

    async def test_the_second_address_is_tried_when_the_first_is_dead(self) -> None:
        async with raw_server(OK) as server, sender_of(["127.0.0.2", "127.0.0.1"]) as sender:
            assert (await send(sender, f"http://two.test:{server.port}/")).status_code == 200

    async def test_plain_http_to_a_public_address_is_refused_on_a_developers_machine_too(self) -> None:
        async with sender_of(["8.8.8.8"]) as sender:
            assert (await send(sender, "http://example.test/")).error == "address_not_allowed"
            assert (await send(sender, "https://example.test:9999/")).error == "address_not_allowed"

    async def test_a_name_server_that_hangs_is_a_timeout(self) -> None:
        async def hang(_host: str) -> list[IpAddress]:
            await asyncio.sleep(60)
            return []

        async with HttpWebhookSender(resolve=hang) as sender:
            result = await send(sender, "https://example.test/", timeout_seconds=0.2)
        assert result.error == "timeout"
        assert result.latency_ms < 30_000


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.test/",
            "https://example.test:80/",
            "https://example.test:22/",
            "https://user:secret@example.test/",
            "https://user@example.test/",
            "ftp://example.test/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_",
            "//example.test/",
            "/relative",
            "https://",
            "https:///x",
            "https://exa\nmple.test/",
            "https://example.test:99999/",
            "https://[::1/",
            "https://xn--/",
            "https://xn--a/",
            "https://xn--a:8443/x",
            "",
            "\x00",
        ],
    )
    async def test_only_https_on_its_ports_is_allowed(self, url: str) -> None:
        async with sender_of(["10.0.0.1"], local_networks=()) as sender:
            assert (await send(sender, url)).error == "url_not_allowed"


class TestReceivers:
    async def test_the_answer_is_read_and_excerpted(self, local: HttpWebhookSender) -> None:
        body = "ok\x1b[31m\x00\r\nпривет".encode()
        answer = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with raw_server(answer) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert (result.status_code, result.error, result.retry_after) == (429, None, "7")
        assert result.excerpt == r"ok\x1b[31m\x00\r\nпривет"

    async def test_a_redirect_is_not_followed(self, local: HttpWebhookSender) -> None:
        async with raw_server(OK) as metadata:
            location = f"http://127.0.0.1:{metadata.port}/latest/meta-data".encode()
            async with raw_server(
                b"HTTP/1.1 307 X\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
            ) as server:
                result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert result.status_code == 307
        assert metadata.heads == []

    async def test_a_status_line_that_drips_ends_at_the_total_deadline(self, local: HttpWebhookSender) -> None:
        async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)

        async with raw_server(drip) as server, asyncio.timeout(30):
            result = await send(local, f"http://127.0.0.1:{server.port}/", timeout_seconds=0.5)
        assert (result.status_code, result.error) == (None, "timeout")

    @pytest.mark.parametrize("status", [200, 204, 500])
    @pytest.mark.parametrize("dripping", [b"X-A: b\r\n", b"\r\n\r\n", b"Content-Length: 100000\r\n\r\nx"])
    async def test_what_follows_the_status_line_is_waited_for_a_second_at_most(
        self, local: HttpWebhookSender, status: int, dripping: bytes
    ) -> None:
        async with raw_server(dripping_after(status, dripping)) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/", timeout_seconds=60)
        assert (result.status_code, result.error) == (status, None)
        assert result.latency_ms < REST_SECONDS_MAX * 1000 + 8_000

    async def test_what_follows_the_status_line_is_waited_for_until_the_deadline_at_most(
        self, local: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "REST_SECONDS_MAX", 60.0)
        async with raw_server(dripping_after(200, b"X-A: b\r\n")) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/", timeout_seconds=3)
        assert (result.status_code, result.error) == (200, None)
        assert result.latency_ms < 30_000

    async def test_an_endless_body_is_cut_off(self, local: HttpWebhookSender) -> None:
        sent = 0

        async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
                sent += 4096

        async with raw_server(pour) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/", timeout_seconds=60)
            await asyncio.sleep(0.1)
            after = sent
            await asyncio.sleep(0.2)
        assert result.status_code == 200
        assert result.latency_ms < 30_000
        assert RESPONSE_BYTES_MAX <= sent == after

    async def test_a_compressed_bomb_is_not_expanded(self, local: HttpWebhookSender) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        async with raw_server(head + b"\x1f\x8b\xff\xff") as server:
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert b"Accept-Encoding: identity" in server.heads[0]

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\x00\xff\xfe",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 99999 X\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 200_000 + b"\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 302 X\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 X\r\nLocation: \xff\xfe://\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 X\r\nLocation: http://a:99999999/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 X\r\nLocation: http://\xe2\x80\x8b/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xff; Expires=never\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=nonsense\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 429 X\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
        ],
    )
    async def test_nonsense_never_raises(self, local: HttpWebhookSender, answer: bytes) -> None:
        async with raw_server(answer) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/", timeout_seconds=1)
        assert (result.status_code is None) != (result.error is None)

    async def test_no_cookie_goes_from_one_receiver_to_another(self, local: HttpWebhookSender) -> None:
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        async with raw_server(answer) as server:
            for _ in range(2):
                await send(local, f"http://localhost:{server.port}/")
        assert not any(b"cookie" in head.lower() for head in server.heads)

    async def test_a_connection_is_kept_for_the_next_webhook(self, local: HttpWebhookSender) -> None:
        async with raw_server(OK, keep_alive=True) as server:
            for _ in range(3):
                assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert (len(server.heads), server.connections) == (3, 1)

    async def test_a_closed_port_is_a_failed_connection(self, local: HttpWebhookSender) -> None:
        async with raw_server(OK) as server:
            port = server.port
        assert (await send(local, f"http://127.0.0.1:{port}/")).error == "connect_failed"

    async def test_a_header_that_cannot_be_sent_does_not_raise(self, local: HttpWebhookSender) -> None:
        result = await local.send("http://127.0.0.1:1/", {"x": "a\r\nb: c"}, b"", 1)
        assert result.error in {"protocol_error", "connect_failed"}

    async def test_a_proxy_of_the_environment_is_ignored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw_server(OK) as proxy, raw_server(OK) as server:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
                assert (await send(sender, f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert (len(proxy.heads), len(server.heads)) == (0, 1)


class TestStatusLine:
    """The status line decides, whatever follows it."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfar too much",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\xff\xff",
            b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 12_288 + b"\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 300_000,
            b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500 + b"\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n",
            b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX-Odd: \x00\x01\xff\x80\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nno colon at all\r\n: no name\r\nspace before : x\r\nx y: z\r\n\r\n",
            b"HTTP/1.1 200 \xc3\xa9\xff\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1  200  OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nok",
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Len",
            b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
        ],
    )
    async def test_a_2xx_is_delivered(self, local: HttpWebhookSender, answer: bytes) -> None:
        async with raw_server(answer) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert (result.status_code, result.error) == (200, None)

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 2",
            b"HTTP/1.1 20",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 600 OK\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"200 OK\r\n\r\n",
            b"<html>200</html>",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"\r\n" * 100_000,
            b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5_000,
            b"H" * 300_000,
        ],
    )
    async def test_without_a_status_line_nothing_is_delivered(self, local: HttpWebhookSender, answer: bytes) -> None:
        async with raw_server(answer) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert (result.status_code, result.error) == (None, "protocol_error")

    async def test_a_reset_after_the_answer_changes_nothing(self, local: HttpWebhookSender) -> None:
        async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
            await asyncio.sleep(0.05)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with raw_server(reset) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert (result.status_code, result.error, result.excerpt) == (200, None, "ok")

    async def test_the_last_answer_counts_after_interim_ones(self, local: HttpWebhookSender) -> None:
        answer = b"HTTP/1.1 103 X\r\nRetry-After: 9\r\n\r\nHTTP/1.1 503 X\r\nRetry-After:\r\n 7\r\n\r\nbusy"
        async with raw_server(answer) as server:
            result = await send(local, f"http://127.0.0.1:{server.port}/")
        assert (result.status_code, result.retry_after, result.excerpt) == (503, "7", "busy")

    async def test_a_chunked_body_is_excerpted(self, local: HttpWebhookSender) -> None:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
        async with raw_server(answer, keep_alive=True) as server:
            for _ in range(3):
                assert (await send(local, f"http://127.0.0.1:{server.port}/")).excerpt == "abcde"
        assert server.connections == 1


class TestKeptConnections:
    @pytest.mark.parametrize(
        ("answer", "connections"),
        [
            (OK, 1),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 1),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 1),
            (LAST, 3),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 3),
            (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 3),
            (b"HTTP/1.1 204 No Content\r\n\r\nok", 3),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntoo much", 3),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", 3),
        ],
    )
    async def test_only_a_connection_with_nothing_left_over_is_kept(
        self, local: HttpWebhookSender, answer: bytes, connections: int
    ) -> None:
        async with raw_server(answer, keep_alive=True) as server:
            for _ in range(3):
                result = await send(local, f"http://127.0.0.1:{server.port}/")
                assert result.status_code in (200, 204)
                await asyncio.sleep(0.01)
        assert (server.connections, len(server.heads)) == (connections, 3)

    async def test_what_is_left_of_the_answer_before_is_not_taken_for_the_next(self, local: HttpWebhookSender) -> None:
        answers = 0

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal answers
            answers += 1
            writer.write(b"left over\r\n" if answers == 2 else b"HTTP/1.1 204 No Content\r\n\r\n")

        async with raw_server(answer, keep_alive=True) as server:
            for _ in range(2):
                assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 204
        assert server.connections == 2

    async def test_an_answer_that_was_not_asked_for_is_not_taken_for_the_next(self, local: HttpWebhookSender) -> None:
        writers: list[asyncio.StreamWriter] = []

        async def fail(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            writers.append(writer)

        async with raw_server(fail, keep_alive=True) as server:
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 500
            # It reaches the socket at once. The event loop has no chance to read it before the next webhook is sent.
            writers[0].write(OK)
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 500
        assert server.connections == 2

    async def test_a_webhook_never_waits_behind_one_that_was_not_read(self, local: HttpWebhookSender) -> None:
        connections = 0

        async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await stop.wait()
            writer.close()

        stop = asyncio.Event()
        # More than the buffers of both sockets hold.
        body = b"x" * 20_000_000
        async with await asyncio.start_server(answer_early, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            results = [await local.send(url, {}, body, 20) for _ in range(2)]
            stop.set()
        assert [result.status_code for result in results] == [200, 200]
        assert connections == 2

    async def test_a_connection_that_the_receiver_closes_is_opened_again(self, local: HttpWebhookSender) -> None:
        async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            # Closes as the next request arrives.
            await reader.read(1)
            raise ConnectionResetError

        async with raw_server(answer_once, keep_alive=True) as server:
            for _ in range(5):
                result = await send(local, f"http://127.0.0.1:{server.port}/")
                assert (result.status_code, result.error) == (200, None)
        assert server.connections == 5

    @pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 2"])
    async def test_a_new_connection_that_ends_without_an_answer_is_not_repeated(
        self, local: HttpWebhookSender, beginning: bytes
    ) -> None:
        async with raw_server(beginning) as server:
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).error == "protocol_error"
        assert server.connections == 1

    async def test_a_request_is_not_repeated_once_an_answer_has_begun(self, local: HttpWebhookSender) -> None:
        answers = [OK, b"HTTP/1.1 2"]

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answers[0])
            if len(answers) == 1:
                raise ConnectionResetError
            del answers[0]

        async with raw_server(answer, keep_alive=True) as server:
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 200
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).error == "protocol_error"
        assert server.connections == 1

    async def test_a_request_is_repeated_once_at_most(self, local: HttpWebhookSender) -> None:
        requests = 0

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal requests
            requests += 1
            if requests > 1:
                raise ConnectionResetError
            writer.write(OK)

        async with raw_server(answer, keep_alive=True) as server:
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 200
            assert (await send(local, f"http://127.0.0.1:{server.port}/")).error == "protocol_error"
        assert requests == 3

    async def test_a_bounded_number_of_idle_connections_is_kept(self, local: HttpWebhookSender) -> None:
        kept = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal kept
            writer.write(OK)
            await asyncio.sleep(0.5)
            kept += 1
            await reader.read(1)

        count = KEPT_MAX + 20
        async with raw_server(answer, keep_alive=True) as server:
            await asyncio.gather(*(send(local, f"http://127.0.0.1:{server.port}/") for _ in range(count)))
            await asyncio.sleep(0.2)
            open_now = len(local._kept._kept[next(iter(local._kept._kept))])
        assert open_now <= KEPT_MAX

    async def test_the_oldest_makes_room_for_the_newest(
        self, local: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "KEPT_MAX", 2)
        async with (
            raw_server(OK, keep_alive=True) as first,
            raw_server(OK, keep_alive=True) as second,
            raw_server(OK, keep_alive=True) as third,
        ):
            for server in (first, second, third, third, second, first):
                assert (await send(local, f"http://127.0.0.1:{server.port}/")).status_code == 200
            assert [server.connections for server in (first, second, third)] == [2, 1, 1]

    async def test_nothing_is_kept_beyond_its_time(
        self, local: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 0.05)
        async with raw_server(OK, keep_alive=True) as server:
            await send(local, f"http://127.0.0.1:{server.port}/")
            await eventually_async(lambda: not local._kept._kept and not local._kept._keys, "nothing is kept", 5)
            await send(local, f"http://127.0.0.1:{server.port}/")
            assert server.connections == 2


class TestRequest:
    """What the receiver sees, byte for byte."""

    @pytest.mark.parametrize(
        "target",
        [
            "/hook/%7Eshop/c%3Ad?sp=%2Ftriggers%2Fmanual%2Frun&sig=a%2Bb%3D%7E&t=%28x%29",
            "/%2f/%2F/%2e%2E/",
            "/a/../b/./c//d",
            "/x?v=%zz&w=%",
            "/cb?email=a%40b.example&plus=a+b&semi=a%3Bb;c=d",
            "/;a=b;c",
            "/path?",
            "/path?&",
            "/path??a=?b",
            "/trailing...",
            "/.",
            "/..",
            "//",
            "/a:b@c!$&'()*+,;=~",
            "/[x]",
        ],
    )
    async def test_the_target_is_sent_as_named(self, local: HttpWebhookSender, target: str) -> None:
        async with raw_server(OK) as server:
            await send(local, f"http://127.0.0.1:{server.port}{target}")
        assert server.heads[0].split(b"\r\n")[0] == f"POST {target} HTTP/1.1".encode()

    @pytest.mark.parametrize(("rest", "target"), [("", "/"), ("?", "/?"), ("?a=%2F", "/?a=%2F")])
    async def test_an_empty_path_is_the_root(self, local: HttpWebhookSender, rest: str, target: str) -> None:
        async with raw_server(OK) as server:
            await send(local, f"http://127.0.0.1:{server.port}{rest}")
        assert server.heads[0].split(b"\r\n")[0] == f"POST {target} HTTP/1.1".encode()

    @pytest.mark.parametrize("host", ["Receiver.Test", "receiver.test.", "XN--E1AYBC.Test", "a_b.test"])
    async def test_the_host_is_sent_as_named_with_its_port(self, host: str) -> None:
        async with raw_server(OK) as server, sender_of(["127.0.0.1"]) as sender:
            result = await send(sender, f"HTTP://{host}:{server.port}/")
        assert result.status_code == 200
        assert f"Host: {host}:{server.port}".encode() in server.heads[0].split(b"\r\n")

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://a.test/", "a.test"),
            ("https://a.test:443/", "a.test"),
            ("https://a.test:/", "a.test"),
            ("https://a.test:8443/", "a.test:8443"),
            ("http://a.test:443/", "a.test:443"),
            ("https://[2001:DB8::1]:8443/", "[2001:DB8::1]:8443"),
        ],
    )
    def test_the_default_port_is_not_sent(self, url: str, host: str) -> None:
        assert read_target(url).host_header == host

    async def test_the_headers_and_the_body_arrive(self, local: HttpWebhookSender) -> None:
        async with raw_server(OK) as server:
            await local.send(f"http://127.0.0.1:{server.port}/", {"webhook-id": "e-1"}, '{"é":1}'.encode(), 20)
        lines = server.heads[0].split(b"\r\n")
        assert {b"webhook-id: e-1", b"Content-Type: application/json", b"User-Agent: Paybridge"} <= set(lines)
        assert b"Content-Length: 8" in lines


class TestTls:
    async def test_an_unknown_certificate_is_refused(self, local: HttpWebhookSender, certificate: Path) -> None:
        async with raw_server(OK, tls=server_context(certificate)) as server:
            assert (await send(local, f"https://127.0.0.1:{server.port}/")).error == "tls_failed"
        assert server.heads == []

    @pytest.mark.parametrize(
        ("host", "expected"), [("receiver.test", (200, None)), ("other.test", (None, "tls_failed"))]
    )
    async def test_the_certificate_is_checked_against_the_name_and_not_the_address(
        self, certificate: Path, host: str, expected: tuple[int | None, str | None]
    ) -> None:
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with (
            raw_server(OK, tls=server_context(certificate)) as server,
            sender_of(["127.0.0.1"], tls=trusting) as sender,
        ):
            result = await send(sender, f"https://{host}:{server.port}/")
        assert (result.status_code, result.error) == expected

    @pytest.mark.parametrize("host", ["receiver.test", "RECEIVER.test", "receiver.test."])
    async def test_the_server_is_told_the_name_without_its_trailing_dot(self, certificate: Path, host: str) -> None:
        told: list[str | None] = []
        context = server_context(certificate)
        context.sni_callback = lambda _socket, name, _context: told.append(name)
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with raw_server(OK, tls=context) as server, sender_of(["127.0.0.1"], tls=trusting) as sender:
            result = await send(sender, f"https://{host}:{server.port}/")
        assert (result.status_code, told) == (200, ["receiver.test"])
