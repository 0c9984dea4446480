"""The archive function brings months as far as its time allows, and fails for the alarm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from archive import handler as function
from local.testkit.archive import fill_month
from local.testkit.payments import new_merchant
from paybridge import wiring
from paybridge.analytics.update import update_analytics
from paybridge.archive.order import order_run
from paybridge.archive.ports import StoreUnavailable
from paybridge.archive.read import list_archive
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.wiring.analytics import services_over
from paybridge.wiring.settings import Settings
from tests.archive.conftest import BUCKET, MONTH, s3
from tests.support.feed import await_horizon

__all__ = ["s3"]

pytestmark = pytest.mark.integration

RENAME = Statement("UPDATE archives SET bucket = :bucket::text")


@dataclass
class Context:
    """What Lambda says of an invocation."""

    milliseconds: int = 600_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def database(database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The function's database."""
    with closing(Database(database_address, "tests", 60.0)) as database:
        monkeypatch.setattr(wiring, "database", lambda _: database)
        yield database


def set_bucket(monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    settings = Settings({**os.environ, "ARCHIVE_BUCKET": bucket})
    monkeypatch.setattr(wiring, "environment", lambda: settings)


@pytest.mark.usefixtures("s3")
def test_it_says_what_it_did(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_month(database, new_merchant(database), MONTH, 3)
    set_bucket(monkeypatch, "")
    assert function.handler({}, Context())["begun_months"] == 0  # type: ignore[arg-type]
    # What analytics have not read stays, or the figures of its days could never be made.
    set_bucket(monkeypatch, BUCKET)
    assert function.handler({}, Context())["waiting_months"] == 1  # type: ignore[arg-type]
    await_horizon(database)
    assert update_analytics(services_over(database), 60.0).is_up_to_date
    order_run(database)
    # A store that refuses is an error, and changes nothing.
    set_bucket(monkeypatch, "no-such-bucket")
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        function.handler({}, Context())  # type: ignore[arg-type]
    # The month keeps the bucket in which it began.
    with database.transaction() as transaction:
        transaction.run(RENAME, bucket=BUCKET)
    # Without time nothing begins.
    assert function.handler({}, Context(0))["archived_months"] == 0  # type: ignore[arg-type]
    assert function.handler({}, Context())["archived_months"] == 1  # type: ignore[arg-type]
    assert [month["state"] for month in list_archive(database)] == ["archived"]
