"""The rivals of `ledger` really write what ours does: two transfers for each event, and balances that add up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.rivals import ledgers, pgbench
from local.testkit.servers import Postgres, address_of
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

_PGLEDGER = Statement("""
    SELECT (SELECT count(*) FROM pgledger_transfers), (SELECT count(*) FROM pgledger_entries),
           (SELECT sum(balance)::text FROM pgledger_accounts),
           (SELECT balance::text FROM pgledger_accounts WHERE id = 'fees')
""")
_LOCKS = Statement("""
    SELECT count(*), sum(amount_minor)::bigint, (SELECT sum(balance_minor)::bigint FROM accounts),
           (SELECT balance_minor FROM accounts WHERE id = 100000)
    FROM transfers
""")


@pytest.fixture
def url(postgres_server: Postgres) -> Iterator[str]:
    url = postgres_server.fresh_database(migrated=False)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def program() -> Path:
    found = pgbench.find()
    assert found is not None
    return found


class TestPgledger:
    def test_batches_and_single_events_are_posted(self, url: str, program: Path, tmp_path: Path) -> None:
        script = tmp_path / "pgledger.sql"
        script.write_text(ledgers.ONE_EVENT)
        with closing(Database(address_of(url))) as database:
            ledgers.set_up_pgledger(database)
            assert ledgers.pgledger_batches(database, 2, 10, ledgers.MERCHANTS) > 0
            assert database.run(_PGLEDGER) == [[40, 80, "0.00", "64.20"]]
            assert ledgers.run_pgbench(program, url, script, 1, 1) > 0
            transfers, entries, total, _ = database.run(_PGLEDGER)[0]
            assert transfers > 40
            assert (entries, total) == (2 * transfers, "0.00")
            assert ledgers.pgledger_bytes(database) > 0


class TestForUpdate:
    def test_each_event_is_two_transfers(self, url: str, program: Path, tmp_path: Path) -> None:
        script = tmp_path / "locks.sql"
        script.write_text(ledgers.FOR_UPDATE)
        with closing(Database(address_of(url))) as database:
            ledgers.run_script(database, ledgers.FOR_UPDATE_TABLES)
            assert ledgers.run_pgbench(program, url, script, 1, ledgers.MERCHANTS) > 0
            transfers, moved, total, fees = database.run(_LOCKS)[0]
        assert (total, moved) == (0, transfers // 2 * (10050 + 321))
        assert fees == transfers // 2 * 321
