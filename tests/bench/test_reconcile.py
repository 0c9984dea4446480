"""The day that the bench reconciles, with a few payments."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from bench import kept
from bench.reconcile import PLANTED, reconcile_day
from local.testkit.payments import new_merchant
from local.testkit.servers import Postgres, address_of
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

COUNT = 72


def test_each_pass_finds_what_was_planted_under_the_same_ids(postgres_server: Postgres) -> None:
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    url = postgres_server.fresh_database()
    with closing(Database(address_of(url))) as database:
        payments = kept.fill_day(url, new_merchant(database), COUNT, day)
        said: list[str] = []
        first, second = [reconcile_day(said.append, database, payments, day) for _ in range(2)]
    postgres_server.drop_database(url)
    assert (first.breaks, len(first.breaks)) == (second.breaks, PLANTED)
    assert said[0].startswith(f"{COUNT - PLANTED // 2} lines in ")
