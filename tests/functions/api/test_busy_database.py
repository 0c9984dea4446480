"""A table or a row that an operator holds is a 503 in good time, and never a key in flight."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing

import pytest

from local.testkit.api import ORDER, Answer, ApiClient, api_client
from local.testkit.locks import held
from paybridge.core.errors import LockTimeout
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

TABLES = ["merchants", "idempotency_keys", "payments", "outbox"]
# The session's lock_timeout is 2 s. The rest is for a busy machine.
ANSWER_SECONDS_MAX = 15.0


def assert_unavailable(send: Callable[[], Answer], lock_timeouts: list[LockTimeout]) -> None:
    lock_timeouts.clear()
    began = time.monotonic()
    answer = send()
    assert time.monotonic() - began < ANSWER_SECONDS_MAX
    assert len(lock_timeouts) == 1
    assert (answer.status, answer.json()["code"]) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) > 0


class TestLockedTables:
    @pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE"])
    @pytest.mark.parametrize("table", TABLES)
    def test_a_new_key_is_a_503_and_its_retry_is_accepted(
        self,
        client: ApiClient,
        database_address: DatabaseAddress,
        lock_timeouts: list[LockTimeout],
        table: str,
        mode: str,
    ) -> None:
        key = str(uuid.uuid4())
        # Merchants are only read.
        reads_only = table == "merchants" and mode == "SHARE ROW EXCLUSIVE"
        with held(database_address, f"LOCK TABLE {table} IN {mode} MODE"):
            if not reads_only:
                assert_unavailable(lambda: client.create(ORDER, key=key), lock_timeouts)
        assert client.create(ORDER, key=key).status == 202

    @pytest.mark.parametrize("table", ["payments", "outbox", "operations", "webhook_deliveries"])
    def test_a_timeline_is_a_503(
        self, client: ApiClient, database_address: DatabaseAddress, lock_timeouts: list[LockTimeout], table: str
    ) -> None:
        payment_id = client.create(ORDER).json()["payment_id"]
        with held(database_address, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
            assert_unavailable(lambda: client.get(f"/api/v1/payments/{payment_id}/events"), lock_timeouts)

    def test_locked_api_keys_are_a_503_for_keys_not_seen_before(
        self, client: ApiClient, database_address: DatabaseAddress, lock_timeouts: list[LockTimeout]
    ) -> None:
        with closing(Database(database_address)) as own:
            fresh = api_client(own)
            with held(database_address, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE"):
                assert_unavailable(lambda: fresh.create(ORDER), lock_timeouts)
            assert fresh.create(ORDER).status == 202

    def test_a_known_key_is_answered_while_payments_are_locked(
        self, client: ApiClient, database_address: DatabaseAddress, lock_timeouts: list[LockTimeout]
    ) -> None:
        first = client.create(ORDER, key="known")
        with held(database_address, "LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"):
            assert_unavailable(lambda: client.create(ORDER), lock_timeouts)
        assert client.create(ORDER, key="known").body == first.body


class TestLockedRows:
    def test_a_locked_merchant_is_a_503_for_that_merchant_alone(
        self, client: ApiClient, database_address: DatabaseAddress, lock_timeouts: list[LockTimeout]
    ) -> None:
        merchants = "SELECT 1 FROM merchants m JOIN payments p ON p.merchant_id = m.id"
        payment_id = client.create(ORDER).json()["payment_id"]
        with held(database_address, f"{merchants} WHERE p.id = :id::uuid FOR UPDATE OF m", id=uuid.UUID(payment_id)):
            assert_unavailable(lambda: client.create(ORDER), lock_timeouts)
            assert client.create(ORDER, key=str(uuid.uuid4()), api_key="secret-other-key").status == 202

    def test_a_locked_idempotency_key_is_answered_as_ever(
        self, client: ApiClient, database_address: DatabaseAddress
    ) -> None:
        first = client.create(ORDER, key="locked")
        with held(database_address, "SELECT 1 FROM idempotency_keys WHERE key = 'locked' FOR UPDATE"):
            assert client.create(ORDER, key="locked").body == first.body
        with held(database_address, "UPDATE idempotency_keys SET created_at = created_at WHERE key = 'locked'"):
            assert client.create(ORDER, key="locked").body == first.body
