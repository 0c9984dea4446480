"""Buckets in Valkey: real servers that stop, hang, refuse, speak TLS or are a cluster."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.servers.processes import free_port
from local.testkit.valkey_server import ValkeyServer, running_valkey
from paybridge.access import valkey as module
from paybridge.access.domain.rate_limit import RateLimit, plan_of
from paybridge.access.ports import LimitedBucket
from paybridge.access.valkey import TIMEOUT_SECONDS, ValkeyBuckets, key_of
from paybridge.core.errors import LimiterUnavailable, SecretUnavailable
from tests.support import tls
from tests.support.forwarder import forwarding

pytestmark = pytest.mark.integration

LIMIT = RateLimit(100, 100)
RIGHTS = ("~paybridge:bucket:*", "+evalsha", "+script|load", "+hmget", "+hset", "+pexpire", "+time")
# What a busy machine needs beside the timeouts. Without a timeout a call would not end at all.
SLACK_SECONDS = 15.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """Start a server that the test may stop."""
    with running_valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the module logs from now on: each line's own members."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(module.log, "error", lambda text, extra: lines.append({"text": text, **extra}))
    return lines


def new_bucket(limit: RateLimit = LIMIT, group: uuid.UUID | None = None) -> LimitedBucket:
    subject = uuid.uuid4()
    return LimitedBucket("key", subject, limit, group or subject)


def pair(merchant_limit: RateLimit = LIMIT) -> tuple[LimitedBucket, LimitedBucket]:
    """The buckets of a key and of its merchant."""
    merchant_id = uuid.uuid4()
    merchant = LimitedBucket("merchant", merchant_id, merchant_limit, merchant_id)
    return new_bucket(RateLimit(50, 50), merchant_id), merchant


def trusted(url: str, authority: Path) -> str:
    return f"{url}?ssl_ca_certs={authority}"


class TestTake:
    def test_every_bucket_gives_what_the_emptiest_has(self, valkey_server: ValkeyServer) -> None:
        key, merchant = pair()
        buckets = ValkeyBuckets(valkey_server.url)
        taken = buckets.take([key, merchant], 1000)
        assert taken.granted == int(plan_of(key.limit).capacity)
        assert taken.left[0] == pytest.approx(plan_of(key.limit).capacity - taken.granted)
        assert taken.left[1] == pytest.approx(plan_of(merchant.limit).capacity - taken.granted)

    def test_a_bucket_is_refilled_at_its_rate(self, valkey_server: ValkeyServer) -> None:
        buckets, bucket = ValkeyBuckets(valkey_server.url), new_bucket()
        begun_at = time.monotonic()
        first = buckets.take([bucket], 1000).granted
        time.sleep(0.2)
        second = buckets.take([bucket], 1000).granted
        assert first == int(plan_of(LIMIT).capacity)
        assert 20 <= second <= LIMIT.per_second * (time.monotonic() - begun_at) + 1

    def test_a_bucket_is_forgotten_once_it_is_full(self, valkey_server: ValkeyServer) -> None:
        bucket = new_bucket(RateLimit(1, 100))
        begun_at = time.monotonic()
        ValkeyBuckets(valkey_server.url).take([bucket], 1000)
        with valkey_server.client() as client:
            left_seconds = client.pttl(key_of(bucket)) / 1000
        passed_seconds = time.monotonic() - begun_at
        plan = plan_of(bucket.limit)
        full_after_seconds = plan.capacity / plan.refill_per_second
        assert full_after_seconds - passed_seconds < left_seconds < full_after_seconds + 1.2

    def test_a_clock_that_goes_back_refills_nothing_twice(self, valkey_server: ValkeyServer) -> None:
        buckets, bucket = ValkeyBuckets(valkey_server.url), new_bucket()
        buckets.take([bucket], 1000)
        with valkey_server.client() as client:
            ahead = float(client.hget(key_of(bucket), "at")) + 300
            client.hset(key_of(bucket), "at", f"{ahead:.6f}")
            time.sleep(0.05)
            assert buckets.take([bucket], 1000).granted == 0
            assert float(client.hget(key_of(bucket), "at")) == pytest.approx(ahead)
            assert client.pttl(key_of(bucket)) > 240_000

    def test_the_rights_on_the_page_for_operators_are_enough(self, valkey_server: ValkeyServer) -> None:
        with valkey_server.client() as client:
            client.execute_command("ACL", "SETUSER", "paybridge", "reset", "on", ">secret", *RIGHTS)
        buckets = ValkeyBuckets(valkey_server.url, lambda: ("paybridge", "secret"))
        assert buckets.take(pair(), 5).granted == 5


class TestOutage:
    def test_without_a_server_callers_are_refused_at_once(
        self, own_server: ValkeyServer, logged: list[dict[str, Any]]
    ) -> None:
        buckets, bucket = ValkeyBuckets(own_server.url), new_bucket()
        buckets.take([bucket], 1)
        own_server.stop()
        begun_at = time.monotonic()
        with pytest.raises(LimiterUnavailable):
            buckets.take([bucket], 1)
        assert time.monotonic() - begun_at < TIMEOUT_SECONDS + SLACK_SECONDS
        assert logged[0]["error_type"] == "ConnectionError"
        assert f"127.0.0.1:{own_server.port}" in logged[0]["error"]

    def test_a_restart_costs_no_request(self, own_server: ValkeyServer) -> None:
        buckets, bucket = ValkeyBuckets(own_server.url), new_bucket()
        buckets.take([bucket], 1)
        own_server.stop()
        own_server.start()
        # The server has forgotten script and buckets.
        assert buckets.take([bucket], 1).granted == 1

    def test_a_connection_that_ends_within_a_request_is_replaced(self, own_server: ValkeyServer) -> None:
        with forwarding(own_server.port) as between:
            buckets, bucket = ValkeyBuckets(f"valkey://127.0.0.1:{between.port}"), new_bucket()
            buckets.take([bucket], 1)
            between.cuts_next = True
            assert buckets.take([bucket], 1).granted == 1
        assert between.connections == 2

    def test_a_server_that_hangs_holds_nothing_up_for_long(
        self, own_server: ValkeyServer, logged: list[dict[str, Any]]
    ) -> None:
        known, unknown = ValkeyBuckets(own_server.url), ValkeyBuckets(own_server.url)
        bucket, other = new_bucket(), new_bucket()
        known.take([bucket], 1)
        own_server.suspend()
        for buckets in (known, known, unknown):
            begun_at = time.monotonic()
            with pytest.raises(LimiterUnavailable):
                buckets.take([bucket], 7)
            assert time.monotonic() - begun_at < TIMEOUT_SECONDS + SLACK_SECONDS
        assert {line["error_type"] for line in logged} == {"TimeoutError"}
        own_server.resume()
        # The late answer of another question is not taken for this one's.
        assert known.take([other], 3).granted == 3

    def test_a_server_that_may_only_be_read_is_left(self, own_server: ValkeyServer, tmp_path: Path) -> None:
        with running_valkey(tmp_path / "primary") as primary, forwarding(own_server.port) as between:
            buckets = ValkeyBuckets(f"valkey://127.0.0.1:{between.port}")
            assert buckets.take([new_bucket()], 1).granted == 1
            with own_server.client() as client:
                client.execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
            between.target_port = primary.port
            assert buckets.take([new_bucket()], 1).granted == 1

    def test_a_full_server_gives_nothing(self, tmp_path: Path, logged: list[dict[str, Any]]) -> None:
        options = ("--maxmemory", "1", "--maxmemory-policy", "noeviction")
        with running_valkey(tmp_path / "full", *options) as server, pytest.raises(LimiterUnavailable):
            ValkeyBuckets(server.url).take([new_bucket()], 1)
        assert logged[0]["error_type"] == "OutOfMemoryError"


class TestLogin:
    @pytest.fixture
    def closed_server(self, tmp_path: Path) -> Iterator[ValkeyServer]:
        with running_valkey(tmp_path / "closed", "--requirepass", "right") as server:
            yield server

    @pytest.fixture
    def no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every connection reads the login, as those that are seconds apart do."""
        monkeypatch.setattr(module, "LOGIN_SECONDS", 0.0)

    @pytest.mark.parametrize("is_readable", [True, False])
    def test_a_refused_login_is_not_read_for_every_request(
        self, closed_server: ValkeyServer, is_readable: bool
    ) -> None:
        reads: list[int] = []

        def read() -> tuple[str, str]:
            reads.append(1)
            if is_readable:
                return "default", "wrong"
            raise SecretUnavailable("Secrets Manager does not answer.")

        buckets = ValkeyBuckets(closed_server.url, read)
        for _ in range(5):
            with pytest.raises(LimiterUnavailable):
                buckets.take([new_bucket()], 1)
        assert len(reads) == 1

    @pytest.mark.usefixtures("no_memory")
    def test_a_login_is_read_for_each_connection(self, closed_server: ValkeyServer) -> None:
        passwords = ["wrong", "right"]
        buckets, bucket = ValkeyBuckets(closed_server.url, lambda: ("default", passwords[0])), new_bucket()
        with pytest.raises(LimiterUnavailable):
            buckets.take([bucket], 1)
        passwords.pop(0)
        assert buckets.take([bucket], 1).granted == 1

    @pytest.mark.parametrize(
        ("read_login", "said"),
        [(lambda: ("default", "hunter2"), "invalid username-password"), (None, "Authentication required")],
        ids=["wrong", "none"],
    )
    def test_a_refused_login_is_logged_without_the_password(
        self, closed_server: ValkeyServer, logged: list[dict[str, Any]], read_login: Any, said: str
    ) -> None:
        with pytest.raises(LimiterUnavailable):
            ValkeyBuckets(closed_server.url, read_login).take([new_bucket()], 1)
        assert (logged[0]["error_type"], said in logged[0]["error"]) == ("AuthenticationError", True), logged
        assert "hunter2" not in str(logged)

    @pytest.mark.usefixtures("no_memory")
    def test_a_secret_that_cannot_be_read_leaves_no_connection_without_login(self, closed_server: ValkeyServer) -> None:
        reads: list[int] = []

        def read() -> tuple[str, str]:
            reads.append(1)
            if len(reads) == 1:
                raise SecretUnavailable("Secrets Manager does not answer.")
            return "default", "right"

        buckets = ValkeyBuckets(closed_server.url, read)
        with pytest.raises(LimiterUnavailable):
            buckets.take([new_bucket()], 1)
        assert buckets.take([new_bucket()], 1).granted == 1


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        path = tmp_path / "localhost.pem"
        path.write_bytes(tls.self_signed("localhost"))
        return path

    @pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
    def test_a_server_is_reached_by_tls(self, valkey_server: ValkeyServer, certificate: Path, scheme: str) -> None:
        with forwarding(valkey_server.port, tls.server_context(certificate)) as secure:
            buckets = ValkeyBuckets(trusted(f"{scheme}://localhost:{secure.port}", certificate))
            assert buckets.take([new_bucket()], 2).granted == 2

    def test_a_certificate_of_another_name_is_refused(
        self, valkey_server: ValkeyServer, certificate: Path, logged: list[dict[str, Any]]
    ) -> None:
        with forwarding(valkey_server.port, tls.server_context(certificate)) as secure:
            buckets = ValkeyBuckets(trusted(f"rediss://127.0.0.1:{secure.port}", certificate))
            with pytest.raises(LimiterUnavailable):
                buckets.take([new_bucket()], 1)
        assert "certificate" in logged[0]["error"]

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, valkey_server: ValkeyServer, certificate: Path, logged: list[dict[str, Any]]
    ) -> None:
        with (
            forwarding(valkey_server.port, tls.server_context(certificate)) as secure,
            pytest.raises(LimiterUnavailable),
        ):
            ValkeyBuckets(f"rediss://localhost:{secure.port}").take([new_bucket()], 1)
        assert "certificate" in logged[0]["error"]

    def test_a_server_that_never_greets_holds_nothing_up(self, own_server: ValkeyServer) -> None:
        own_server.suspend()
        begun_at = time.monotonic()
        with pytest.raises(LimiterUnavailable):
            ValkeyBuckets(f"rediss://localhost:{own_server.port}").take([new_bucket()], 1)
        assert time.monotonic() - begun_at < 2 * TIMEOUT_SECONDS + SLACK_SECONDS


class TestCluster:
    def test_the_buckets_of_a_request_are_in_one_slot(self, tmp_path: Path) -> None:
        # ElastiCache Serverless is a cluster behind one address, too.
        # By default the cluster bus listens on the server's port + 10000, which may be in use.
        options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        with running_valkey(tmp_path / "cluster", *options) as server:
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
                while "cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                    time.sleep(0.02)
            buckets = ValkeyBuckets(server.url)
            for _ in range(20):
                assert buckets.take(pair(), 5).granted == 5

    def test_a_merchants_bucket_is_the_same_for_each_of_its_keys_and_for_tokens(
        self, valkey_server: ValkeyServer
    ) -> None:
        # A refill so slow that a pause between the two calls cannot hide what the first one took.
        buckets, (key, merchant) = ValkeyBuckets(valkey_server.url), pair(RateLimit(1, 100))
        buckets.take([key, merchant], 20)
        left = buckets.take([merchant], 0).left[0]
        assert left < plan_of(merchant.limit).capacity - 10
