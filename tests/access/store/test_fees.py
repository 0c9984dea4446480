"""Every change of a merchant's fees is recorded in their history, whatever made it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from local.testkit.payments import MovableClock, new_merchant
from paybridge.access.change_merchant import change_merchant
from paybridge.access.domain.fees import FEE_NOTICE_SECONDS
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

LOW, HIGH = {"percent": "1.5"}, {"percent": "2.9", "fixed": {"EUR": "0.30"}}
_BY_HAND = Statement("UPDATE merchants SET fees = :fees::json, name = 'Acme' WHERE id = :id::uuid")
_BY_OLDER_CODE = Statement("""
    INSERT INTO merchants (id, name, fees, webhook_secrets, created_at)
    VALUES (:id::uuid, 'Acme', :fees::json, '{whsec_x}', :at::timestamptz)
""")
_HISTORY = Statement("""
    SELECT valid_from, fees FROM merchant_fees WHERE merchant_id = :id::uuid ORDER BY valid_from
""")


def text(fees: Any) -> str | None:
    return None if fees is None else orjson.dumps(fees).decode()


def history(database: Database, merchant_id: uuid.UUID) -> list[Any]:
    return [fees for _, fees in database.run(_HISTORY, id=merchant_id)]


class TestHistory:
    def test_has_what_was_changed_by_hand(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        before = datetime.now(UTC)
        for fees in (LOW, HIGH, HIGH, None, LOW):
            database.run(_BY_HAND, id=merchant_id, fees=text(fees))
        rows = database.run(_HISTORY, id=merchant_id)
        assert [fees for _, fees in rows] == [LOW, HIGH, None, LOW]
        times = [valid_from for valid_from, _ in rows]
        assert times == sorted(set(times))
        notice = timedelta(seconds=FEE_NOTICE_SECONDS)
        assert before + notice <= times[0] <= datetime.now(UTC) + notice

    def test_begins_with_a_merchant_that_older_code_created(self, database: Database) -> None:
        with_fees, without = uuid.uuid4(), uuid.uuid4()
        created_at = datetime(2026, 1, 1, tzinfo=UTC)
        database.run(_BY_OLDER_CODE, id=with_fees, fees=text(LOW), at=created_at)
        database.run(_BY_OLDER_CODE, id=without, fees=None, at=created_at)
        assert [tuple(row) for row in database.run(_HISTORY, id=with_fees)] == [(created_at, LOW)]
        assert history(database, without) == []

    def test_has_one_entry_for_a_change_that_was_announced(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        clock = MovableClock()
        clock.move(3600)
        for fees in (LOW, LOW, {**HIGH}, {name: HIGH[name] for name in reversed(HIGH)}):
            assert change_merchant(database, clock, merchant_id, {"fees": fees}) is not None
        rows = database.run(_HISTORY, id=merchant_id)
        assert [fees for _, fees in rows] == [LOW, HIGH]
        # By the application's clock, so it was not the trigger.
        assert abs(rows[0][0] - clock.now() - timedelta(seconds=FEE_NOTICE_SECONDS)) < timedelta(minutes=1)

    def test_is_compared_with_its_newest_entry(self, database: Database) -> None:
        """The row of the merchant says what counts, and the history has never heard of it."""
        merchant_id = new_merchant(database)
        for switch in ("DISABLE", "ENABLE"):
            database.run(Statement(f"ALTER TABLE merchants {switch} TRIGGER merchants_keep_fees"))
            if switch == "DISABLE":
                database.run(_BY_HAND, id=merchant_id, fees=text(LOW))
        assert history(database, merchant_id) == []
        assert change_merchant(database, MovableClock(), merchant_id, {"fees": LOW}) is not None
        assert history(database, merchant_id) == [LOW]
        assert change_merchant(database, MovableClock(), merchant_id, {"name": "Other"}) is not None
        assert history(database, merchant_id) == [LOW]
