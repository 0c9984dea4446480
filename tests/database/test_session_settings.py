"""What an administrator sets for the database or the role does not reach our sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pg8000.native
import pytest

from local.servers import postgres
from local.testkit.payments import new_merchant, new_payment
from local.testkit.servers import Postgres, address_of
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.database.migrations import migrate
from paybridge.operations.measure import measure_database
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.list_payments import list_payments
from paybridge.payments.read import read_payment
from paybridge.payments.timeline import payment_timeline

pytestmark = pytest.mark.integration

HOSTILE = {
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'iso_8601'",
    "bytea_output": "'escape'",
    "TimeZone": "'Asia/Kathmandu'",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "client_encoding": "'LATIN1'",
    "extra_float_digits": "-10",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "lock_timeout": "'1h'",
    "statement_timeout": "'1h'",
    "idle_in_transaction_session_timeout": "'1h'",
    "idle_session_timeout": "'1h'",
    "client_min_messages": "debug5",
    "plan_cache_mode": "force_custom_plan",
    "enable_partition_pruning": "off",
    "enable_nestloop": "off",
    "enable_indexscan": "off",
}
_READS = """
    SELECT timestamptz '2026-03-01 12:00:00.5+00', interval '1 day 2 hours'::text, '\\x0041'::bytea::text,
           (0.1::float8 + 0.2::float8)::text, to_regclass('notes')::text
"""


@pytest.fixture(params=["DATABASE {database}", "ROLE {role}", "ROLE {role} IN DATABASE {database}"])
def url(request: pytest.FixtureRequest, postgres_server: Postgres) -> Iterator[str]:
    """A database where the server, the role, or both have hostile defaults for every session."""
    url = postgres_server.fresh_database(migrated=False)
    address = address_of(url)
    target = request.param.format(database=address.name, role=address.user)
    with _superuser(postgres_server) as superuser:
        for name, value in HOSTILE.items():
            superuser.run(f"ALTER {target} SET {name} = {value}")
    yield url
    with _superuser(postgres_server) as superuser:
        superuser.run(f"ALTER {target} RESET ALL")
    postgres_server.drop_database(url)


@contextmanager
def _superuser(server: Postgres) -> Iterator[pg8000.native.Connection]:
    with closing(postgres._superuser(server.settings.postgres_port)) as connection:
        yield connection


class TestSession:
    def test_every_hostile_default_is_overridden(self, url: str) -> None:
        with closing(Database(address_of(url))) as database:
            found = {name: database.run(Statement(f"SHOW {name}"))[0][0] for name in HOSTILE}
        with closing(postgres.connect(url)) as plain:
            hostile = {name: plain.run(f"SHOW {name}")[0][0] for name in HOSTILE if name != "client_encoding"}
        assert [name for name, value in hostile.items() if value == found[name]] == []

    def test_values_are_read_as_ever(self, url: str) -> None:
        with closing(Database(address_of(url))) as database:
            database.run(Statement("CREATE TABLE public.notes (number integer)"))
            (row,) = database.run(Statement(_READS))
        assert row[0] == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
        assert row[0].utcoffset() == timedelta(0)
        assert row[1:] == ["1 day 02:00:00", "\\x0041", "0.30000000000000004", "notes"]

    def test_payments_are_migrated_accepted_read_and_measured(self, url: str) -> None:
        with closing(Database(address_of(url))) as database:
            migrate(database)
            merchant_id = new_merchant(database)
            payment_id = new_payment(database, merchant_id, description="naïve Ж")
            payment = read_payment(database, merchant_id, payment_id)
            assert payment is not None
            assert payment.description == "naïve Ж"
            assert abs(payment.created_at - datetime.now(UTC)) < timedelta(minutes=1)
            page = list_payments(
                database, merchant_id, PaymentFilters(created_from=payment.created_at), cursor=None, limit=10
            )
            assert [found.id for found in page.payments] == [payment_id]
            (entry, *_) = payment_timeline(database, merchant_id, payment_id) or []
            assert entry.at == payment.created_at
            assert measure_database(database, SystemClock(), 300).outbox_due == 1
