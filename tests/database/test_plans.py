"""The shape of every statement's plan, as a function has it: prepared, generic, in a session with our settings.

What is held is never a time: which indexes are read and how often, that no table is read whole, that a batch of one
month's ids stays within its month, that nothing is sorted that an index holds in order, and that no more rows are
fetched than are asked for. A new statement needs a rule here.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from local.testkit.servers import Postgres, address_of
from paybridge.analytics.store import aggregates, projection
from paybridge.analytics.store import reading as figures
from paybridge.analytics.store.projection import TYPES
from paybridge.core.ids import followers_floor
from paybridge.database import pages
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.store import changing
from paybridge.dead_letters.store import reading as reading_store
from paybridge.ledger.domain.payouts import PayoutFilters
from paybridge.ledger.store import payout_lists, rebuilds
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store import listing
from paybridge.payments.store.row import COLUMN_TYPES
from paybridge.refunds.domain import RefundFilters
from paybridge.refunds.store import listing as refund_listing
from paybridge.webhooks.store import delivery_lists
from tests.support.plans import Plan, Planner, builders, statements
from tests.support.seeded_rows import (
    CREATED,
    DELIVERY,
    MERCHANT,
    NOTIFICATION,
    PAYMENT,
    REFUND,
    SUCCEEDED,
    SeededRows,
)

# A statement writes up to a hundred thousand rows, beside other tests.
SEED_SECONDS_MAX = 300.0
# The first test also waits for all that is seeded.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * SEED_SECONDS_MAX)]

NOW = datetime.now(UTC)
# After everything that is seeded, for what looks for old rows.
LATER = NOW + timedelta(days=60)
BATCH = 300
LIMIT = 50
PARTITIONED = frozenset({
    "payments", "payment_attempts", "operations", "operation_attempts", "outbox", "webhook_deliveries",
    "webhook_attempts", "fraud_decisions", "notifications", "journals", "transfers", "sent_events",
})  # fmt: skip
# One more row than asked for is fetched from each partition at most, to know which of them comes next.
PARTITIONS = 6
# Who asks for a payment as its merchant may find it by either; which is cheaper depends on the merchants' sizes.
OF_MERCHANT = "payments_pkey or payments_by_merchant"


@dataclass(frozen=True)
class Rule:
    """What a statement's plan has to be; `reads` names an index as often as the statement reads it.

    `sorts` is how many sorts there are, each of the few rows that the statement is about; `every_month` the tables that
    are looked through month by month, because the statement knows nothing of the ids; `rows_max` bounds the rows
    fetched from a table, and `whole` names small tables that are read whole. `statement` is one that a function builds;
    the others are found by their names.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    sorts: int = 0
    every_month: frozenset[str] = frozenset()
    rows_max: dict[str, int] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    statement: Statement | None = None

    def of(self, use: str) -> Statement:
        """The statement of a use: one that is built, or one that a module keeps by its name."""
        return self.statement or statements()[use.partition(" ")[0]]


def array(ids: list[str]) -> str:
    return "{" + ",".join(ids) + "}"


def records(ids: list[str], *names: str, **columns: Any) -> str:
    return orjson.dumps([{**dict.fromkeys(names, id_), **columns} for id_ in ids]).decode()


def fresh(id_: str) -> str:
    """An id of the same moment that nothing has yet."""
    return f"{id_[:24]}ffffffffffff"


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address, "tests", SEED_SECONDS_MAX)) as database:
        yield database


@pytest.fixture(scope="module")
def rows(database: Database) -> SeededRows:
    rows = SeededRows(connection_of(database))
    rows.write()
    rows.analyze()
    return rows


@pytest.fixture(scope="module")
def planner(database: Database) -> Planner:
    return Planner(connection_of(database))


def connection_of(database: Database) -> Any:
    """The connection as the functions have it, beneath the store, which knows no EXPLAIN."""
    database._ensure_connected()
    return database._connection


def rules(rows: SeededRows) -> dict[str, Rule]:
    """The rule of every statement, by its name; a statement with several uses has one for each."""
    return {
        **accepting(rows),
        **ordering(rows),
        **refunds(rows),
        **archived(rows),
        **accounts(),
        **books(rows),
        **payouts(rows),
        **reading(rows),
        **charging(rows),
        **relaying(rows),
        **feeding(rows),
        **delivering(rows),
        **delivery_log(rows),
        **recovering(rows),
        **resuming(),
        **receivers(),
        **notifying(rows),
        **sweeping(rows),
        **noticed(rows),
        **small(),
        **dead(rows),
        **replaying(rows),
        **auditing(rows),
        **counting(),
        **screening(rows),
        **reviewing(rows),
        **trying(rows),
        **analysing(rows),
        **rebuilding(rows),
        **sealing(rows),
        **verifying(rows),
        **reconciling(rows),
        **reconciled_sides(rows),
        **statement_lines(rows),
    }


NEW_EVENT = {
    "sequence": 3,
    "merchant_id": MERCHANT,
    "type": "payment.failed",
    "exchange": "payments.events",
    "routing_key": "payment.failed",
    "body": "{}",
    "correlation_id": "c",
    "time": NOW,
    "delay_seconds": 0,
}


def accepting(rows: SeededRows) -> dict[str, Rule]:
    (payment_id,), (event_id,) = rows.ids(PAYMENT, limit=1), rows.ids(CREATED, limit=1)
    new = {
        **dict.fromkeys(COLUMN_TYPES),
        "merchant_id": MERCHANT,
        "operation": "create_payment",
        "key": "a new key",
        "fingerprint": bytes(32),
        "id": fresh(payment_id),
        "resource_id": fresh(payment_id),
        "response_status": 202,
        "response_body": "{}",
        "created_at": NOW,
        "updated_at": NOW,
        "amount_minor": 1,
        "currency": "RUB",
        "status": "pending",
        "capture": "automatic",
        "correlation_id": "c",
        "event_id": fresh(event_id),
        "sequence": 1,
        "event_type": "payment.created",
        "exchange": "payments",
        "routing_key": "payments.new",
        "event_body": "{}",
    }
    key = {"merchant_id": MERCHANT, "operation": "create_payment", "key": "key-40"}
    many = orjson.dumps(
        [{**new, "key": "another new key", "fingerprint": bytes(32).hex(), "currency_places": 2}]
    ).decode()
    return {
        "payments.store.accepted_payments._ACCEPT": Rule(new),
        # The keys of the batch are sorted, so that two batches take them in one order.
        "payments.store.accepted_payments._ACCEPT_MANY": Rule({"rows": many}, ("merchants_pkey",), sorts=1),
        "payments.store.idempotency_keys._FIND_MANY": Rule(
            {"rows": orjson.dumps([{"number": 0, **key}]).decode()},
            ("idempotency_keys_pkey",),
            rows_max={"idempotency_keys": 1},
        ),
        "payments.store.merchants._EXISTING": Rule({"ids": array([MERCHANT])}, ("merchants_pkey",)),
        "payments.store.idempotency_keys._FIND": Rule(
            key, ("idempotency_keys_pkey",), rows_max={"idempotency_keys": 1}
        ),
    }


def ordering(rows: SeededRows) -> dict[str, Rule]:
    """What merchants order for a payment: one statement changes it and writes all that goes with that."""
    (held,), (pending,) = rows.ids(PAYMENT, "n % 400 = 201", 1), rows.ids(PAYMENT, "n % 200 = 0", 1)
    (captured,) = rows.ids(PAYMENT, "n % 400 = 202", 1)
    (event_id,) = rows.ids(CREATED, limit=1)
    order = {
        "merchant_id": MERCHANT,
        "operation": "create_refund",
        "key": "a new key",
        "fingerprint": bytes(32),
        "resource_id": fresh(captured),
        "response_status": 202,
        "response_body": "{}",
        "created_at": NOW,
        "operation_id": fresh(captured),
        "kind": "refund",
        "gateway": "default",
        "amount_minor": 50,
        "reason": None,
        "metadata": None,
        "correlation_id": "c",
        "last_sequence": 1,
        "rows": records([fresh(event_id)], "id", **NEW_EVENT, payment_id=captured),
        "counts": '{"refund.created": 1}',
        "held": "requires_capture",
        "version": 1,
        "sequence": 3,
        "takes_the_rest": False,
    }
    reads, rows_max = (OF_MERCHANT, "idempotency_keys_pkey"), {"payments": 1, "idempotency_keys": 0}

    def rule(payment_id: str, **changes: object) -> Rule:
        return Rule({**order, "payment_id": payment_id, **changes}, reads, rows_max=rows_max)

    return {
        "refunds.store.reserving._RESERVE": rule(captured),
        "payments.store.holding._CAPTURE": rule(held, kind="capture"),
        "payments.store.holding._CANCEL": rule(held, kind="void"),
        "payments.store.holding._CANCEL_UNCHARGED": rule(pending),
    }


def refunds(rows: SeededRows) -> dict[str, Rule]:
    (refund_id,), (payment_id,) = (rows.ids(kind, "n % 20 = 3", 1) for kind in (REFUND, PAYMENT))
    return {
        "refunds.store.queries._GET_OF_ANY": Rule(
            {"id": refund_id},
            ("operations_pkey", "payments_pkey"),
            rows_max={"operations": 1, "payments": 1},
        ),
        "refunds.store.queries._GET": Rule(
            {"id": refund_id, "merchant_id": MERCHANT},
            ("operations_refunds", "payments_pkey"),
            rows_max={"operations": 1, "payments": 1},
        ),
        **{
            f"refunds.store.listing.page before {before} of {', '.join(wanted)}": refunds_page(
                {**wanted, **({"payment_id": payment_id} if "payment_id" in wanted else {})},
                {"before": before} if before else {},
            )
            for wanted in wanted_refunds()
            for before in (refund_id, "")
        },
    }


def archived(rows: SeededRows) -> dict[str, Rule]:
    """Where an archived payment is. In the seeded rows some count as archived."""
    id_, (refund_id,) = rows.archived_id(), rows.ids(REFUND, "n % 20 = 3", 1)
    name, found = "archive.store.owners.", {"archived_owners": 1}
    return {
        f"{name}_FIND": Rule(
            {"kind": "payment", "merchant_id": MERCHANT, "id": id_}, ("archived_owners_pkey",), rows_max=found
        ),
        f"{name}_FIND_OF_ANY": Rule(
            {"kind": "payment", "month": "2024-03-01", "id": id_},
            ("archived_owners_by_month",),
            # One block of each merchant has the id within its ends.
            rows_max={"archived_owners": 40},
        ),
        f"{name}_REFUNDED_OF_ANY": Rule({"id": refund_id}, ("operations_pkey",), rows_max={"operations": 1}),
        f"{name}_REFUNDED": Rule(
            {"id": refund_id, "merchant_id": MERCHANT}, ("operations_refunds",), rows_max={"operations": 1}
        ),
    }


def wanted_refunds() -> Iterator[dict[str, Any]]:
    """The values of every set of filters that a page of refunds can have."""
    values = {
        "payment_id": "",
        "statuses": "{succeeded}",
        "created_from": NOW - timedelta(days=40),
        "created_to": NOW - timedelta(days=20),
    }
    assert len(values) == len(fields(RefundFilters))
    for names in itertools.chain.from_iterable(itertools.combinations(values, size) for size in range(len(values) + 1)):
        yield {name: values[name] for name in names}


def refunds_page(wanted: dict[str, Any], before: dict[str, Any]) -> Rule:
    """The rule of a page of refunds: those of a payment are few, the others come in the order of their index."""
    of_payment = "payment_id" in wanted
    rows_max = {"operations": 1} if of_payment else {"operations": 2 * LIMIT}
    return Rule(
        {
            **{name: pages.ID_BOUNDS[name] for name in pages.id_bounds(wanted)},
            **before,
            **wanted,
            "merchant_id": MERCHANT,
            "limit": LIMIT,
        },
        ("operations_by_payment" if of_payment else "operations_refunds", "payments_pkey"),
        sorts=1 if of_payment else 0,
        every_month=frozenset({"operations", "payments"}),
        rows_max=rows_max,
        statement=refund_listing.page(frozenset(wanted)),
    )


def endpoints() -> dict[str, Rule]:
    """Webhook endpoints. In the seeded rows one has the id of its merchant."""
    one = {"id": MERCHANT, "merchant_id": MERCHANT}
    content = {
        "url": "http://127.0.0.1/ok",
        "events": '["*"]',
        "description": None,
        "secrets": '[{"secret": "whsec_x"}]',
        "status": "enabled",
        "disabled_at": None,
        "disabled_reason": None,
        "first_failure_at": None,
        "failing_since": None,
        "warned_percent": 0,
        "last_sequence": 0,
        "updated_at": NOW,
    }
    new = {name: content[name] for name in ("url", "events", "description", "secrets")}
    page_of = {"before": UUID(int=2**128 - 1), "limit": LIMIT}
    name, key = "webhooks.store.endpoints.", "webhook_endpoints_pkey"
    by_merchant = "webhook_endpoints_by_merchant"
    return {
        f"{name}_LOCK_MERCHANT": Rule({"merchant_id": MERCHANT}, ("merchants_pkey",)),
        f"{name}_FIND_IDS": Rule({"merchant_id": MERCHANT}, (by_merchant,)),
        f"{name}_INSERT": Rule({**new, "id": UUID(int=1), "merchant_id": MERCHANT, "at": NOW}),
        f"{name}_LIST": Rule({"merchant_id": MERCHANT, **page_of}, (by_merchant,)),
        f"{name}_LIST_OF_ALL": Rule(page_of, (key,)),
        f"{name}_GET": Rule(one, (by_merchant,)),
        f"{name}_GET_OF_ANY": Rule({"id": MERCHANT}, (key,)),
        f"{name}_LOCK": Rule(one, (by_merchant,)),
        f"{name}_LOCK_SOME": Rule({"ids": array([MERCHANT])}, (key,)),
        f"{name}_SHARE": Rule({"ids": array([MERCHANT])}, (key,)),
        f"{name}_FIND_URLS": Rule({"ids": array([MERCHANT])}, (key,)),
        f"{name}_UPDATE": Rule({**content, "id": MERCHANT}, (key,)),
        f"{name}_DELETE": Rule({"id": MERCHANT, "at": NOW}, (key,)),
        f"{name}_FOLLOW": Rule({"merchant_id": MERCHANT, "follows": False}, ("merchants_pkey",)),
        f"{name}_PATTERNS": Rule({"merchant_id": MERCHANT}, (by_merchant,)),
        f"{name}_TARGETS": Rule({"merchant_ids": array([MERCHANT])}, (by_merchant,), sorts=1),
    }


def accounts() -> dict[str, Rule]:
    key = {"key_hash": bytes(32)}
    rates = {"rate_per_second": None, "rate_burst": None}
    a_key = {
        **rates,
        "id": UUID(int=1),
        "name": "New",
        "last_four": "abcd",
        "created_at": NOW,
        "created_by": "test",
        "expires_at": None,
    }
    details = {
        **rates,
        "name": "New",
        "email": None,
        "phone": None,
        "notify": "[]",
        "fees": None,
        "gateway": "default",
    }
    return {
        # The functions in them find a key by its hash, and buckets and merchants by their ids.
        **endpoints(),
        "access.store.callers._ADMIT_KEY": Rule({**key, "wanted": 1}),
        "access.store.callers._ADMIT_MERCHANT": Rule({"merchant_id": MERCHANT, "wanted": 1}),
        "access.store.registration._FIND_KEY_OWNER": Rule(key, ("api_keys_key_hash_key",)),
        "access.store.registration._LOCK_KEY": Rule(key),
        "access.store.registration._INSERT_MERCHANT": Rule({"id": None, "name": "New", "webhook_secret": "whsec_x"}),
        "access.store.registration._INSERT_KEY": Rule({**key, "merchant_id": MERCHANT, "role": "merchant"}),
        "access.store.keys._INSERT": Rule(
            {**key, **a_key, "merchant_id": MERCHANT, "role": "merchant"}, ("merchants_pkey",)
        ),
        "access.store.keys._LIST_OF_MERCHANT": Rule(
            {"merchant_id": MERCHANT, "before": UUID(int=1), "limit": 20}, ("api_keys_by_merchant", "api_keys_pkey")
        ),
        "access.store.keys._LIST_OF_ALL": Rule(
            {"before": UUID(int=1), "limit": 20}, ("api_keys_pkey", "api_keys_by_merchant"), sorts=1
        ),
        "access.store.keys._FIND": Rule({"id": UUID(int=1)}, ("api_keys_pkey",)),
        "access.store.keys._LOCK": Rule({"id": UUID(int=1)}, ("api_keys_pkey",)),
        "access.store.keys._REPLACE": Rule(
            {"id": UUID(int=1), "replaced_by": None, "expires_at": NOW}, ("api_keys_pkey",)
        ),
        "access.store.keys._REVOKE": Rule({"id": UUID(int=1), "at": NOW, "revoked_by": "test"}, ("api_keys_pkey",)),
        "access.store.merchants._INSERT": Rule({**details, "id": UUID(int=2), "webhook_secret": "whsec_x", "at": NOW}),
        "access.store.merchants._UPDATE": Rule(
            {**details, "id": UUID(int=2), "at": NOW, "fee_notice_seconds": 60.0},
            ("merchants_pkey", "merchant_fees_pkey"),
            rows_max={"merchant_fees": 1},
        ),
        "access.store.merchants._LIST": Rule(
            {"before": UUID(int=1), "limit": 20},
            ("merchants_pkey", "merchant_fees_pkey"),
            sorts=1,
            whole=frozenset({"merchants"}),
        ),
        "access.store.merchants._GET": Rule({"id": UUID(int=2)}, ("merchants_pkey", "merchant_fees_pkey")),
        "access.store.merchants._LOCK": Rule({"id": UUID(int=2)}, ("merchants_pkey", "merchant_fees_pkey")),
        "access.store.fees._FIND": Rule(
            {"merchant_ids": array([MERCHANT])}, ("merchant_fees_pkey",), rows_max={"merchant_fees": 3}
        ),
    }


def payouts(rows: SeededRows) -> dict[str, Rule]:
    (payout_id,) = rows.ids(PAYMENT, "n % 120 = 0", 1)
    new = {
        "id": fresh(payout_id),
        "merchant_id": MERCHANT,
        "currency": "RUB",
        "places": 2,
        "amount_minor": 1,
        "correlation_id": "c",
        "now": NOW,
        "idempotency_key": "new",
        "fingerprint": bytes(32),
    }
    account = {"merchant_id": MERCHANT, "currency": "RUB", "places": 2}
    change = {"status": "failed", "reason": "closed", "settled_by": "tests", "now": NOW}
    return {
        "ledger.store.payouts._ORDER": Rule(
            {**new, "available": 1, "reserved": 2}, ("accounts_pkey",), rows_max={"accounts": 2}
        ),
        "ledger.store.payouts._FIND_BY_KEY": Rule(
            {"merchant_id": MERCHANT, "key": "40"}, ("payouts_once_for_each_key",)
        ),
        "ledger.store.payouts._FIND": Rule(
            {"id": payout_id, "merchant_id": MERCHANT, "is_staff": False}, ("payouts_pkey",)
        ),
        "ledger.store.payouts._LOCK": Rule({"id": payout_id}, ("payouts_pkey",)),
        "ledger.store.payouts._SETTLE": Rule({**change, "id": payout_id}, ("payouts_pkey",)),
        "ledger.store.payouts._AVAILABLE": Rule(account, ("books_one_is_live", "accounts_by_name")),
        # The number of accounts is that of the merchants and their currencies.
        "ledger.store.sums._READ": Rule(
            {}, ("books_one_is_live", "accounts_with_currency"), whole=frozenset({"accounts"})
        ),
        **{
            f"ledger.store.payout_lists.page before {before} of {', '.join(wanted)}": payouts_page(
                wanted, {"before": before} if before else {}
            )
            for wanted in wanted_payouts()
            for before in (payout_id, "")
        },
    }


def wanted_payouts() -> Iterator[dict[str, Any]]:
    """The values of every set of filters that a page of payouts can have."""
    values = {
        "status": "pending",
        "currency": "RUB",
        "created_from": NOW - timedelta(days=40),
        "created_to": NOW - timedelta(days=20),
    }
    assert len(values) == len(fields(PayoutFilters))
    for names in itertools.chain.from_iterable(itertools.combinations(values, size) for size in range(len(values) + 1)):
        yield {name: values[name] for name in names}


def payouts_page(wanted: dict[str, Any], before: dict[str, Any]) -> Rule:
    """The rule of a page of payouts, which come in the order of their index."""
    bounds = {name: pages.ID_BOUNDS[name] for name in pages.id_bounds(wanted)}
    return Rule(
        {**bounds, **before, **wanted, "merchant_id": MERCHANT, "limit": LIMIT},
        ("payouts_of_merchant",),
        statement=payout_lists.page(frozenset(wanted)),
    )


def books(rows: SeededRows) -> dict[str, Rule]:
    accounts = [
        {"owner": MERCHANT, "kind": "available", "currency": "RUB", "places": 2, "side": "credit"},
        {"owner": None, "kind": "gateway_clearing", "currency": "RUB", "places": 2, "side": "debit"},
    ]
    new = {"rule": 2, "rule_version": 1, "owner": MERCHANT, "happened_at": NOW.isoformat(), "currency": "RUB"}
    events = [fresh(id_) for id_ in rows.ids(SUCCEEDED)]
    journals = [{**new, "event_id": id_, "id": id_} for id_ in events]
    amount = {"rule": 2, "number": 1, "places": 2, "debit": 1, "credit": 2, "amount": 1, "happened_at": NOW.isoformat()}
    moves = [{**amount, "event_id": id_, "currency": "RUB"} for id_ in events]
    succeeded, *_ = rows.ids(PAYMENT, "n % 3 = 0 AND n % 100 <> 0")
    named = ("event_id", "journal_id", "corrects")
    correction = {**dict.fromkeys(named, UUID(int=1)), "rule": 2, "reason": "test", "actor": "test"}
    position = {"happened_at": NOW, "event_id": UUID(int=2**128 - 1), "rule": 9, "number": 9}
    page_of = {**position, "as_of": NOW, "limit": LIMIT}
    live = "books_one_is_live"
    transfers = frozenset({"transfers"})
    by_time = ("daily_totals_pkey", "transfers_by_debit", "transfers_by_credit")
    shown = ("journals_pkey", "accounts_pkey", "accounts_pkey")
    return {
        "ledger.store.balances._READ": Rule({"merchant_id": MERCHANT}, (live, "accounts_by_name")),
        "ledger.store.balances._READ_AS_OF": Rule(
            {"merchant_id": MERCHANT, "as_of": NOW}, (live, "accounts_by_name", *by_time), every_month=transfers
        ),
        "ledger.store.balances._LIST": Rule({"after": 0, "limit": LIMIT}, (live, "accounts_with_currency")),
        "ledger.store.balances._LIST_AS_OF": Rule(
            {"after": 0, "limit": LIMIT, "as_of": NOW},
            (live, "accounts_with_currency", *by_time),
            every_month=transfers,
        ),
        "ledger.store.entries._NUMBERS_OF": Rule({"merchant_id": MERCHANT}, (live, "accounts_by_name")),
        "ledger.store.entries._NUMBERS_OF_HOUSE": Rule({}, (live, "accounts_by_name")),
        "ledger.store.entries._OF_ACCOUNTS": Rule(
            {**page_of, "accounts": "{1,2}"},
            ("transfers_by_debit", "transfers_by_credit", *shown),
            sorts=4,
            every_month=transfers,
            rows_max={"transfers": 4 * (LIMIT + PARTITIONS)},
        ),
        "ledger.store.entries._OF_PAYMENT": Rule(
            {**page_of, "payment_id": succeeded, "merchant_id": MERCHANT, "account": None},
            ("journals_by_payment", "transfers_pkey", live, *shown),
            sorts=2,
            every_month=frozenset({"journals"}),
        ),
        "ledger.store.books._SHARE_LIVE": Rule({}, ("books_one_is_live",)),
        "ledger.store.accounts._FIND": Rule(
            {"book": 1, "keys": orjson.dumps(accounts).decode()}, ("accounts_by_name",) * 2
        ),
        "ledger.store.accounts._OPEN": Rule({"book": 1, "keys": orjson.dumps(accounts).decode()}, sorts=1),
        "ledger.store.journals._FIND_MISSING": Rule(
            {"keys": orjson.dumps([{"event_id": id_, "rule": 2} for id_ in rows.ids(SUCCEEDED)]).decode()},
            (live, "journals_pkey"),
        ),
        "ledger.store.corrections._ADD": Rule(
            {**correction, "id": UUID(int=1), "key": "new", "fingerprint": bytes(32), "created_at": NOW}
        ),
        "ledger.store.corrections._FIND": Rule({"id": UUID(int=1)}, ("corrections_pkey",)),
        "ledger.store.corrections._FIND_BY_KEY": Rule({"key": "new"}, ("corrections_once_for_each_key",)),
        "ledger.store.corrections._LIST": Rule({"before": None, "limit": LIMIT}, ("corrections_pkey",)),
        "ledger.store.corrections._FIND_JOURNAL": Rule(
            {"book": 1, "event_id": rows.ids(SUCCEEDED, "n % 3 = 0 AND n % 100 <> 0")[0]},
            ("journals_pkey", "transfers_pkey", "accounts_pkey", "accounts_pkey"),
            sorts=1,
        ),
        "ledger.store.journals._POST": Rule(
            {"book": 1, "journals": orjson.dumps(journals).decode(), "transfers": orjson.dumps(moves).decode()},
            ("accounts_pkey", "accounts_pkey"),
            sorts=3,
        ),
    }


def reading(rows: SeededRows) -> dict[str, Rule]:
    middle, *_ = rows.ids(PAYMENT)
    one = {"id": middle, "merchant_id": MERCHANT}
    by_payment = frozenset({"outbox", "webhook_deliveries"})

    return {
        "payments.store.queries._GET_OF_ANY": Rule({"id": middle}, ("payments_pkey",), rows_max={"payments": 1}),
        "payments.store.listing.page_of_all": Rule(
            {"limit": LIMIT, **pages.ID_BOUNDS},
            ("payments_pkey",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": LIMIT + PARTITIONS},
            statement=listing.page_of_all(frozenset(), is_unsettled=False),
        ),
        "payments.store.listing.page_of_all unsettled": Rule(
            {"limit": LIMIT, "status": "pending", **pages.ID_BOUNDS},
            ("payments_unsettled",),
            every_month=frozenset({"payments"}),
            statement=listing.page_of_all(frozenset({"status"}), is_unsettled=True),
        ),
        "payments.store.queries._GET": Rule(one, (OF_MERCHANT,), rows_max={"payments": 1}),
        "payments.store.queries._TIMELINE": Rule(
            one,
            (
                OF_MERCHANT,
                "outbox_by_payment",
                "operations_pkey",
                "operations_by_payment",
                "operation_attempts_pkey",
                "charges_to_return_pkey",
                "fraud_decisions_pkey",
                "webhook_deliveries_by_payment",
                "webhook_attempts_pkey",
                "notifications_by_payment",
            ),
            every_month=by_payment | {"operations", "notifications"},
        ),
        "payments.store.diagnosis._FIND": Rule({"id": middle}, ("payments_pkey",), rows_max={"payments": 1}),
        "payments.store.diagnosis._OPERATIONS": Rule(
            {"id": middle},
            ("operations_pkey", "operations_by_payment"),
            sorts=1,
            every_month=frozenset({"operations"}),
            rows_max={"operations": 5},
        ),
        "payments.store.diagnosis._WAITING": Rule(
            {"id": middle}, ("outbox_by_payment",), sorts=1, every_month=by_payment, rows_max={"outbox": 5}
        ),
        **{
            f"payments.store.listing.page before {before} of {', '.join(map(str, wanted.values()))}": page(
                wanted, {"before": before} if before else {}
            )
            for wanted in wanted_pages()
            for before in (middle, "")
        },
    }


def wanted_pages() -> Iterator[dict[str, Any]]:
    """The values of every set of filters that a page can have, with a settled and with an unsettled status."""
    values = {
        "status": "succeeded",
        "currency": "RUB",
        "customer": "customer 0",
        "created_from": NOW - timedelta(days=40),
        "created_to": NOW - timedelta(days=20),
    }
    assert set(values) == {field.name for field in fields(PaymentFilters)}
    for names in itertools.chain.from_iterable(itertools.combinations(values, size) for size in range(len(values) + 1)):
        wanted = {name: values[name] for name in names}
        yield wanted
        if "status" in wanted:
            yield {**wanted, "status": "pending"}


def page(wanted: dict[str, Any], before: dict[str, Any]) -> Rule:
    """The rule of a page with these filters: its index, and no more rows than it shows, or passes on the way."""
    is_unsettled = wanted.get("status") == "pending"
    index, rows_max = "payments_by_merchant", {"payments": LIMIT + PARTITIONS}
    if "customer" in wanted:
        index = "payments_by_customer"
    elif is_unsettled:
        # The unsettled payments of all merchants: seldom more than a minute's.
        index, rows_max = "payments_unsettled", {}
    elif "status" in wanted:
        rows_max = {"payments": 2 * LIMIT}
    return Rule(
        {
            **{name: pages.ID_BOUNDS[name] for name in pages.id_bounds(wanted)},
            **before,
            **wanted,
            "merchant_id": MERCHANT,
            "limit": LIMIT,
        },
        (index,),
        every_month=frozenset({"payments"}),
        rows_max=rows_max,
        statement=listing.page(frozenset(wanted), is_unsettled=is_unsettled),
    )


CHECK = {"merchant_id": MERCHANT, "correlation_id": "c", "delay_seconds": 60}
TO_RETURN = {
    "gateway_id": "ch",
    "merchant_id": MERCHANT,
    "reason": "charged_late",
    "amount_minor": 10050,
    "currency": "RUB",
}


BEGINNING = {
    "merchant_id": MERCHANT,
    "kind": "charge",
    "gateway": "default",
    "amount_minor": 10050,
    "correlation_id": "c",
    "version": 2,
    "sequence": 2,
}
ENDED = {
    "number": 1,
    "started_at": NOW.isoformat(),
    "attempt_status": "succeeded",
    "gateway_id": "ch",
    "outcome": "succeeded",
    "effect": "first",
    "status": "succeeded",
    "captured_minor": 10050,
    "refunded_minor": 0,
    "reserved_minor": 0,
    "events": 1,
}
UNDO = {
    "merchant_id": MERCHANT,
    "kind": "refund",
    "cause": "charged_late",
    "gateway": "default",
    "amount_minor": 1,
    "correlation_id": "c",
    "created_at": NOW.isoformat(),
}


def charging(rows: SeededRows) -> dict[str, Rule]:
    processing = rows.ids(PAYMENT, "n % 200 = 100")
    pending = rows.ids(PAYMENT, "n % 200 = 0")
    ids = {"ids": array(processing)}
    refunds = rows.ids(REFUND, "n % 1000 = 3")
    begins = {
        "rows": records(pending, "id", **BEGINNING),
        "length": len(pending),
        "now": NOW,
    }
    finishes = {
        "rows": records(processing, "payment_id", "id", **ENDED),
        "length": len(processing),
        "now": NOW,
    }
    skipped = {"ids": array(refunds), "payment_ids": array(processing[: len(refunds)])}
    return {
        "payments.store.operations._LOCK_PAYMENTS": Rule(
            ids, ("payments_pkey",), sorts=1, rows_max={"payments": len(processing)}
        ),
        "payments.store.operations._READ_PAYMENTS": Rule(
            ids, ("payments_pkey",), rows_max={"payments": len(processing)}
        ),
        "payments.store.operations._FIND": Rule(ids, ("operations_pkey",), rows_max={"operations": len(processing)}),
        "payments.store.operations._LOCK_LATER": Rule(
            {"ids": array(refunds)}, ("operations_pkey",), sorts=1, rows_max={"operations": len(refunds)}
        ),
        "payments.store.operations._FIND_CHOICES": Rule({"ids": array([MERCHANT])}, ("merchants_pkey",)),
        "payments.store.progress._FIND_CREATED": Rule(
            {"ids": array(processing)}, ("outbox_by_payment",), every_month=frozenset({"outbox"})
        ),
        "payments.store.progress._FIND_FOLLOWED": Rule(
            {"merchant_id": MERCHANT, "payment_id": processing[0]},
            ("merchants_pkey", "outbox_by_payment"),
            every_month=frozenset({"outbox"}),
        ),
        "payments.store.operations._FIND_SKIPPED": Rule(skipped, ("payments_pkey", "operations_pkey")),
        "payments.store.operations._FIND_GIVEN_UP": Rule(
            ids, ("payments_pkey", "operations_pkey"), rows_max={"payments": len(processing)}
        ),
        "payments.store.attempts._BEGIN": Rule(begins, ("payments_pkey",), rows_max={"payments": len(pending)}),
        "payments.store.attempts._START": Rule(
            {"rows": records(processing, "id", number=2), "length": len(processing), "now": NOW},
            ("operations_pkey", "operations_pkey"),
            rows_max={"operations": 2 * len(processing)},
        ),
        "payments.store.attempts._ASK": Rule(
            {"rows": records(processing, "id", ask=1), "length": len(processing), "now": NOW},
            ("operations_pkey",),
            rows_max={"operations": len(processing)},
        ),
        "payments.store.attempts._FINISH": Rule(
            finishes,
            # Once to lock in the order of the ids, once to change.
            ("operations_pkey", "payments_pkey", "payments_pkey"),
            sorts=2,
            rows_max={"payments": 2 * len(processing), "operations": len(processing)},
        ),
        "payments.store.attempts._NOTE": Rule(
            {"rows": records(processing, "id", number=1, attempt_status="unknown"), "now": NOW},
            ("operation_attempts_pkey",),
        ),
        "payments.store.operations._ADD": Rule(
            {"rows": records([fresh(id_) for id_ in processing], "id", payment_id=MERCHANT, **UNDO)}
        ),
        "payments.store.charges_to_return._ADD": Rule(
            {"rows": records(processing, "payment_id", **TO_RETURN), "now": NOW}, ("charges_to_return_pkey",)
        ),
        "payments.store.late_checks._PLAN": Rule(
            {"rows": records(processing, "operation_id", **CHECK, payment_id=processing[0]), "now": NOW}
        ),
        "payments.store.late_checks._SEND_NOW": Rule(ids, ("operations_pkey",), sorts=1),
        "payments.store.late_checks._SEND_DUE": Rule(
            {"limit": BATCH}, ("late_checks_due", "late_checks_pkey"), sorts=1
        ),
        # Once to lock in the order of the ids, once to change.
        "payments.store.late_checks._TAKE": Rule(
            {**ids, "lease_seconds": 10}, ("late_checks_pkey", "late_checks_pkey"), sorts=1
        ),
        "payments.store.late_checks._POSTPONE": Rule(
            {"rows": records(processing, "operation_id", delay_seconds=60)}, ("late_checks_pkey",)
        ),
        "payments.store.late_checks._END": Rule(ids, ("late_checks_pkey",)),
        "payments.store.diagnosis._CHECKS": Rule({"id": processing[0]}, ("late_checks_by_payment",)),
        "payments.store.refund_corrections._LOCK_PAYMENTS": Rule(
            ids, ("payments_pkey",), sorts=1, rows_max={"payments": len(processing)}
        ),
        "payments.store.refund_corrections._TAKE_BACK": Rule(
            {
                "rows": records(processing, "id", reversal_id=fresh(processing[0])),
                "length": len(processing),
                "kind": "refund",
                "failure_code": "refund_reversed",
                "failure_message": "No.",
                "now": NOW,
            },
            ("operations_pkey", "payments_pkey"),
            sorts=1,
            rows_max={"operations": len(processing), "payments": 0},
        ),
        "payments.store.refund_corrections._IS_RECORDED": Rule(
            {"payment_id": processing[0], "gateway_id": "re_1"},
            ("operations_by_payment",),
            every_month=frozenset({"operations"}),
        ),
        "payments.store.refund_corrections._ADD_REFUND": Rule(
            {
                "id": fresh(processing[0]),
                "payment_id": processing[0],
                "given_up_id": processing[0],
                "gateway_id": "re_1",
                "amount_minor": 50,
                "now": NOW,
            },
            ("payments_pkey", "operations_pkey"),
            rows_max={"payments": 1, "operations": 1},
        ),
    }


def relaying(rows: SeededRows) -> dict[str, Rule]:
    events = rows.ids(CREATED)
    new = {**NEW_EVENT, "payment_id": events[0]}
    by_id = {"reads": ("outbox_pkey",), "rows_max": {"outbox": BATCH}}
    every_month = frozenset({"outbox"})
    return {
        "outbox.store._INSERT": Rule(
            {"rows": records([fresh(id_) for id_ in events], "id", **new), "is_published": True, "counts": "{}"}
        ),
        "outbox.store._CLAIM": Rule(
            {"limit": LIMIT}, ("outbox_due",), every_month=every_month, rows_max={"outbox": LIMIT + PARTITIONS}
        ),
        "outbox.store._MARK_PUBLISHED": Rule(
            {"ids": array(events), "oldest": events[0]},
            ("outbox_pkey", "outbox_pkey"),
            rows_max={"outbox": BATCH + 1},
        ),
        "outbox.store._MARK_REFUSED": Rule(
            {"rows": records(events, "id", error="e"), "delay_seconds_first": 1, "delay_seconds_max": 60}, **by_id
        ),
        "outbox.store._INSERT_REDRIVES": Rule(
            {"rows": records([fresh(events[0])], "id", queue="webhooks", delay_seconds=0)}
        ),
        "outbox.store._INSERT_REPLAY": Rule({"id": fresh(events[0])}),
        "outbox.store._PUT_OFF": Rule({"id": events[0], "delay_seconds": 1}, ("outbox_pkey",), rows_max={"outbox": 1}),
        "outbox.wake_up._SECONDS_UNTIL_DUE": Rule(
            {}, ("outbox_due",), every_month=every_month, rows_max={"outbox": PARTITIONS}
        ),
        "outbox.lag._RELAY_LAG": Rule(
            {}, ("outbox_due", "outbox_refused"), every_month=every_month, rows_max={"outbox": 2 * PARTITIONS}
        ),
        "outbox.lag._OUTBOX_DUE": Rule(
            {"limit": LIMIT}, ("outbox_due",), every_month=every_month, rows_max={"outbox": LIMIT}
        ),
    }


def delivering(rows: SeededRows) -> dict[str, Rule]:
    payments, events = rows.ids(PAYMENT), rows.ids(SUCCEEDED, "n % 100 <> 0")
    known, pending = rows.ids(DELIVERY, "n % 100 <> 0"), rows.ids(DELIVERY, "n % 150 = 0 AND n % 100 <> 0")
    new = {
        "merchant_id": MERCHANT,
        "payment_id": payments[0],
        "event_id": payments[0],
        "event_type": "payment.failed",
        "url": "http://127.0.0.1/ok",
        "body": "{}",
        "correlation_id": "c",
    }
    seconds = {"rows": records(pending, "id", number=2)}
    finishes = records(pending, "delivery_id", number=1, attempt_status="delivered", status="delivered")
    by_payment = frozenset({"webhook_deliveries"})
    each, twice = {"webhook_deliveries": len(pending)}, {"webhook_deliveries": 2 * len(pending)}
    return {
        "webhooks.store.payments._FIND_URLS": Rule(
            {"rows": records(payments, "payment_id", merchant_id=MERCHANT)},
            (OF_MERCHANT,),
            rows_max={"payments": BATCH},
        ),
        "webhooks.store.deliveries._INSERT": Rule(
            {"rows": records([fresh(id_) for id_ in known], "id", **new)},
            ("webhook_deliveries_by_payment",),
            every_month=by_payment,
        ),
        "webhooks.store.deliveries._LOCK": Rule(
            {"rows": records(pending, "id", is_retry=False)},
            ("webhook_deliveries_pkey", "merchants_pkey", "webhook_endpoints_pkey", "webhook_attempts_pkey"),
            sorts=1,
            rows_max=each,
        ),
        "webhooks.store.deliveries._FIND_LOCKED": Rule(
            {"rows": records(pending, "id", is_retry=False)}, ("webhook_deliveries_pkey",), rows_max=each
        ),
        "webhooks.store.deliveries._FIND_UNKNOWN": Rule({"ids": array(known)}, ("webhook_deliveries_pkey",)),
        "webhooks.store.events._FIND_EVENTS": Rule(
            {"ids": array(events)}, ("outbox_pkey",), rows_max={"outbox": BATCH}
        ),
        "webhooks.store.attempts._CLOSE_INTERRUPTED": Rule(seconds, ("webhook_attempts_pkey",)),
        # Once to lock in the order of the ids, once to change.
        "webhooks.store.attempts._START": Rule(seconds, ("webhook_deliveries_pkey",) * 2, sorts=1, rows_max=twice),
        "webhooks.store.deliveries._POSTPONE": Rule(
            {"rows": records(pending, "id", delay_seconds=0.0)}, ("webhook_deliveries_pkey",), rows_max=each
        ),
        "webhooks.store.attempts._FINISH": Rule(
            {"rows": finishes}, ("webhook_attempts_pkey", "webhook_deliveries_pkey"), rows_max=each
        ),
        "webhooks.store.deliveries._CANCEL": Rule({"ids": array(pending)}, ("webhook_deliveries_pkey",), rows_max=each),
        "webhooks.store.deliveries._MOVE": Rule(
            {"rows": records(pending, "id", url="http://127.0.0.1/ok")}, ("webhook_deliveries_pkey",), rows_max=each
        ),
        "webhooks.store.deliveries._END_GONE": Rule(
            {"rows": records(payments, "payment_id", url="http://127.0.0.1/ok")},
            ("webhook_deliveries_by_payment", "webhook_deliveries_pkey"),
            sorts=1,
            every_month=by_payment,
        ),
        "webhooks.store.payments._TAKE_SEQUENCES": Rule(
            {"rows": records(payments, "id", count=1)},
            ("payments_pkey",) * 2,
            sorts=1,
            rows_max={"payments": 2 * BATCH},
        ),
    }


def feeding(rows: SeededRows) -> dict[str, Rule]:
    """The feed of events: each look begins in the index where the last one ended."""
    (event_id,), (payment_id,) = rows.ids(CREATED, "n % 40 = 0", 1), rows.ids(PAYMENT, "n % 40 = 0", 1)
    types = "{payment.created,payment.succeeded}"
    after = {"after_xid": "0", "after_id": event_id}
    bounds = {"not_before": UUID(int=0), "before": UUID(int=2**128 - 1), "limit": LIMIT, "shown": types, **after}
    times = {"created_from": "-infinity", "created_to": "infinity"}
    caller = {"merchant_id": MERCHANT, "is_staff": False}
    every_month = frozenset({"outbox"})
    return {
        "feed.store._OF_MERCHANT": Rule(
            {**bounds, **times, "merchant_id": MERCHANT},
            ("outbox_feed",),
            every_month=every_month,
            rows_max={"outbox": LIMIT + PARTITIONS},
        ),
        "feed.store._OF_ALL": Rule(
            {**bounds, **times},
            ("merchants_pkey", "outbox_feed"),
            sorts=1,
            every_month=every_month,
        ),
        "feed.store._OF_PAYMENT": Rule(
            {**bounds, **times, **caller, "payment_id": payment_id, "after_id": UUID(int=0)},
            ("outbox_by_payment",),
            sorts=1,
            every_month=every_month,
            rows_max={"outbox": 5},
        ),
        "feed.store._HAS_LATER": Rule(
            {**after, "payment_id": payment_id, "shown": types},
            ("outbox_by_payment",),
            every_month=every_month,
            rows_max={"outbox": 5},
        ),
        "feed.store._FIND": Rule({**caller, "id": event_id, "shown": types}, ("outbox_pkey",), rows_max={"outbox": 1}),
        "feed.store._FIND_POSITION": Rule({**caller, "id": event_id}, ("outbox_pkey",), rows_max={"outbox": 1}),
        "feed.store._FIND_HORIZON": Rule(),
    }


def delivery_log(rows: SeededRows) -> dict[str, Rule]:
    ended = rows.ids(DELIVERY, "n % 150 <> 0 AND n % 100 <> 0")
    delivery = ended[0]
    one, each = {"webhook_deliveries": 1}, {"webhook_deliveries": BATCH}
    of_merchant = {"id": delivery, "merchant_id": MERCHANT}
    return {
        "webhooks.store.delivery_log._GET": Rule(of_merchant, ("webhook_deliveries_pkey",), rows_max=one),
        "webhooks.store.delivery_log._GET_OF_ANY": Rule({"id": delivery}, ("webhook_deliveries_pkey",), rows_max=one),
        "webhooks.store.delivery_log._ATTEMPTS": Rule({"id": delivery}, ("webhook_attempts_pkey",)),
        "webhooks.store.restarts._LOCK": Rule(of_merchant, ("webhook_deliveries_pkey",), rows_max=one),
        "webhooks.store.restarts._RESTART": Rule(
            {"ids": array(ended)}, ("webhook_deliveries_pkey", "webhook_attempts_pkey"), rows_max=each
        ),
        **{
            f"webhooks.store.delivery_lists.page before {before} of {', '.join(wanted)}": Rule(
                {**pages.ID_BOUNDS, **before, **wanted, "endpoint_id": MERCHANT, "limit": LIMIT},
                ("webhook_deliveries_by_endpoint", "webhook_attempts_pkey"),
                every_month=frozenset({"webhook_deliveries", "webhook_attempts"}),
                rows_max={"webhook_deliveries": 2 * LIMIT},
                statement=delivery_lists.page(frozenset(wanted)),
            )
            for before in ({}, {"before": delivery})
            for wanted in wanted_deliveries()
        },
    }


def recovering(rows: SeededRows) -> dict[str, Rule]:
    """Recoveries. In the seeded rows one has the id of its endpoint, which has that of its merchant."""
    ended = rows.ids(DELIVERY, "n % 150 <> 0 AND n % 100 <> 0")
    name, key = "webhooks.store.recoveries.", "webhook_recoveries_pkey"
    new = {
        "merchant_id": MERCHANT,
        "payment_id": None,
        "endpoint_id": MERCHANT,
        "event_type": "payment.failed",
        "url": "http://127.0.0.1/ok",
        "body": "{}",
        "correlation_id": "c",
    }
    scanned = {"merchant_id": MERCHANT, "since": NOW - timedelta(days=60), "until_xid": "9000000000"}
    position = {"after_xid": "0", "after_id": UUID(int=0), "wanted": "{payment.created}", "limit": LIMIT}
    progress = {"position_xid": "5", "position_id": UUID(int=0), "state": "finished", "checked": 1, "sent": 1}
    return {
        f"{name}_START": Rule({"id": UUID(int=1), "endpoint_id": MERCHANT, "merchant_id": MERCHANT, "since": NOW}),
        f"{name}_GET": Rule(
            {"id": MERCHANT, "endpoint_id": MERCHANT, "merchant_id": MERCHANT, "is_staff": False}, (key,)
        ),
        f"{name}_RUNNING": Rule({"limit": LIMIT}, ("webhook_recoveries_running",), sorts=1),
        # What is running is few.
        f"{name}_LOCK": Rule({"id": MERCHANT}, ("webhook_recoveries_running",)),
        f"{name}_SCAN": Rule(
            {**scanned, **position},
            ("outbox_feed",),
            every_month=frozenset({"outbox"}),
            rows_max={"outbox": LIMIT + PARTITIONS},
        ),
        f"{name}_IS_COMPLETE": Rule({"until_xid": "1"}),
        f"{name}_SAVE": Rule({"id": MERCHANT, **progress}, (key,)),
        f"{name}_INSERT": Rule({"rows": records([fresh(id_) for id_ in ended], "id", "event_id", **new)}, sorts=1),
        f"{name}_LOCK_MISSED": Rule(
            {"ids": array(ended), "before": LATER, "attempts_max": 9},
            ("webhook_deliveries_pkey",),
            sorts=1,
            rows_max={"webhook_deliveries": BATCH},
        ),
    }


def resuming() -> dict[str, Rule]:
    """Resumptions. In the seeded rows one has the id of its endpoint."""
    name, one = "webhooks.store.resumptions.", {"endpoint_id": MERCHANT}
    key, by_endpoint = "webhook_resumptions_pkey", "webhook_deliveries_by_endpoint"
    last_attempt = "webhook_attempts_pkey"
    every_month = frozenset({"webhook_deliveries"})
    ahead = {"ahead_seconds": 1.0}
    return {
        f"{name}_START": Rule({**one, "started_at": NOW}),
        f"{name}_RUNNING": Rule({"limit": LIMIT}, sorts=1, whole=frozenset({"webhook_resumptions"})),
        f"{name}_LOCK": Rule(one, (key,)),
        f"{name}_SAVE": Rule({**one, **ahead, "position_id": UUID(int=0), "resumed": 1}, (key,)),
        f"{name}_END": Rule(one, (key,)),
        f"{name}_SCHEDULE": Rule(
            {**one, **ahead, "after": UUID(int=0), "started_at": NOW, "per_second": 50.0, "limit": LIMIT},
            (by_endpoint, last_attempt, "webhook_deliveries_pkey"),
            sorts=1,
            every_month=every_month,
        ),
        f"{name}_READ": Rule(
            {"endpoint_ids": array([MERCHANT]), "waiting_max": LIMIT},
            (key, by_endpoint, last_attempt),
            every_month=every_month,
        ),
    }


def wanted_deliveries() -> Iterator[dict[str, Any]]:
    """The values of every set of filters that a page of deliveries can have."""
    values = {"status": "delivered", "event_type": "payment.succeeded"}
    for count in range(len(values) + 1):
        for names in itertools.combinations(values, count):
            yield {name: values[name] for name in names}


def receivers() -> dict[str, Rule]:
    origins = [f"https://receiver-{number}" for number in range(20)]
    some = {"rows": records(origins, "origin", merchant_id=MERCHANT)}
    failures = records(origins, "origin", merchant_id=MERCHANT, failures=1, is_slow=False, waits=False)
    return {
        "webhooks.store.receivers._FIND_RECEIVERS": Rule(some, ("webhook_receivers_pkey",)),
        "webhooks.store.receivers._NOTE_FAULTS": Rule(
            {"rows": failures, "threshold": 5, "slow_seconds": 60, "wait_threshold": 25, "wait_seconds": 30},
            ("webhook_receivers_pkey",) * 2,
            sorts=1,
        ),
        "webhooks.store.receivers._FORGET_RECEIVERS": Rule(some, ("webhook_receivers_pkey",) * 2),
    }


def notifying(rows: SeededRows) -> dict[str, Rule]:
    """E-mails and SMS: a batch reads only its notifications, by their primary key."""
    payments = rows.ids(PAYMENT, "n % 40 = 0", 1)
    pending = rows.ids(NOTIFICATION, "n % 150 = 0 AND n % 100 <> 0")
    sending = rows.ids(NOTIFICATION, "n % 150 = 1")
    new = {
        "merchant_id": MERCHANT,
        "payment_id": payments[0],
        "subject_type": "payment",
        "subject_id": payments[0],
        "event_id": payments[0],
        "event_type": "payment.failed",
        "pattern": "*",
        "channel": "email",
        "contact": "payments@merchant.example",
        "recipient": "Merchant",
        "title": "Payment failed",
        "body": "x",
        "correlation_id": "c",
    }
    by_id = "notifications_pkey"
    each, twice = {"notifications": len(pending)}, {"notifications": 2 * len(pending)}
    finished = records(sending, "id", number=1, status="sent", provider_message_id="ses", delay_seconds=None)
    return {
        "access.store.contacts._FIND": Rule({"ids": array([MERCHANT])}, ("merchants_pkey",), rows_max={"merchants": 1}),
        "notifications.store.notifications._INSERT": Rule(
            {"rows": records([fresh(id_) for id_ in pending], "id", **new)}, sorts=1
        ),
        "notifications.store.notifications._FIND_DUE": Rule({"ids": array(pending)}, (by_id,), sorts=1, rows_max=each),
        "notifications.store.notifications._FIND_LOCKED": Rule({"ids": array(pending)}, (by_id,), rows_max=each),
        "notifications.store.notifications._FIND_CLAIMED": Rule({"ids": array(pending)}, (by_id,), rows_max=each),
        "notifications.store.notifications._FIND_UNKNOWN": Rule({"ids": array(pending)}, (by_id,), rows_max=each),
        # Once to lock in the order of the ids, once to change.
        "notifications.store.notifications._CLAIM": Rule(
            {"ids": array(pending)}, (by_id,) * 2, sorts=1, rows_max=twice
        ),
        "notifications.store.notifications._END_CLAIMS": Rule(
            {"ids": array(sending), "claim_seconds": 30.0}, (by_id,) * 2, sorts=1
        ),
        "notifications.store.notifications._PUT_OFF": Rule(
            {"ids": array(pending), "part_of_age": 0.25, "seconds_min": 30.0, "seconds_max": 600.0},
            (by_id,) * 2,
            sorts=1,
            rows_max=twice,
        ),
        "notifications.store.notifications._FINISH": Rule({"rows": finished}, (by_id,)),
        "notifications.store.stalled._LOCK": Rule(
            {"before": LATER, "limit": LIMIT},
            ("notifications_open",),
            every_month=frozenset({"notifications"}),
            rows_max={"notifications": LIMIT + PARTITIONS},
        ),
        "notifications.store.stalled._MAKE_DUE": Rule({"ids": array(sending)}, (by_id,)),
        "notifications.store.stalled._LEAVE_UNCLEAR": Rule({"ids": array(sending)}, (by_id,)),
    }


def sweeping(rows: SeededRows) -> dict[str, Rule]:
    payments = rows.ids(PAYMENT, "n % 100 = 1")
    sweep = {"before": LATER, "limit": LIMIT}
    window = {"oldest": NOW - timedelta(hours=2), "newest": NOW - timedelta(hours=1), "before": LATER, "limit": LIMIT}
    return {
        "payments.store.stalled._LOCK": Rule(
            sweep,
            ("payments_unsettled", "outbox_by_payment", "operations_pkey"),
            every_month=frozenset({"payments", "outbox"}),
        ),
        "payments.store.stalled._COUNT": Rule(
            {**sweep, "old_before": NOW - timedelta(days=60)},
            ("payments_unsettled", "outbox_by_payment", "operations_pkey"),
            every_month=frozenset({"payments", "outbox"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
        "payments.store.open_operations._LOCK_STALLED": Rule(
            sweep, ("operations_unsettled", "outbox_by_payment"), every_month=frozenset({"operations", "outbox"})
        ),
        "payments.store.open_operations._OLD": Rule(
            {"before": LATER, "pending_before": NOW, "limit": LIMIT},
            ("operations_unsettled",),
            every_month=frozenset({"operations"}),
        ),
        "payments.store.expired_authorizations._RELEASE": Rule(
            {
                # None of the seeded payments waits for its capture.
                "rows": orjson.dumps(
                    [{"payment_id": id_, "operation_id": id_} for id_ in map(fresh, payments)]
                ).decode(),
                "length": len(payments),
                "now": NOW,
            },
            ("payments_pkey",),
            rows_max={"payments": 0},
        ),
        "payments.store.expired_authorizations._LOCK": Rule(
            {"now": LATER, "declined_before": NOW, "limit": LIMIT},
            ("payments_to_capture", "operations_by_payment"),
            every_month=frozenset({"payments", "operations"}),
        ),
        "webhooks.store.stalled._STALLED_DELIVERIES": Rule(
            sweep,
            ("webhook_deliveries_pending", "webhook_attempts_pkey", "outbox_by_payment", "outbox_by_subject"),
            every_month=frozenset({"webhook_deliveries", "webhook_attempts", "outbox"}),
        ),
        "webhooks.store.stalled._LOST_EVENTS": Rule(
            window,
            (
                "outbox_pkey",
                "payments_pkey",
                "webhook_deliveries_by_payment",
                "webhook_deliveries_by_payment",
                "webhook_endpoints_by_merchant",
                "outbox_by_payment",
            ),
            every_month=frozenset({"outbox", "webhook_deliveries"}),
        ),
        "payments.store.answers._EXPIRE_ANSWERS": Rule(
            sweep,
            ("idempotency_keys_with_answer", "idempotency_keys_pkey"),
            sorts=1,
            rows_max={"idempotency_keys": 2 * LIMIT},
        ),
    }


def noticed(rows: SeededRows) -> dict[str, Rule]:
    """Notices of gateways: as many as payments, and each is found by its key."""
    payments = rows.ids(PAYMENT, "n % 100 = 1")
    keys = orjson.dumps([{"gateway": "default", "id": f"ntc_{100 * n}"} for n in range(1, 51)]).decode()
    wanted = orjson.dumps(
        [{"notice_id": f"ntc_{n}", "gateway": "default", "operation_id": id_} for n, id_ in enumerate(payments)]
    ).decode()
    finished = orjson.dumps(
        [{"gateway": "default", "id": f"ntc_{100 * n}", "outcome": "asked", "work_at": None} for n in range(1, 51)]
    ).decode()
    new = {"gateway": "default", "id": "ntc_new", "type": "t", "claim": "other", "operation_id": None, "now": NOW}
    return {
        "payments.store.notices._STORE": Rule(new),
        "payments.store.notices._FIND_DUE": Rule(
            {"now": LATER, "limit": LIMIT}, ("gateway_notices_waiting",), rows_max={"gateway_notices": LIMIT + 1}
        ),
        "payments.store.notices._LOCK": Rule(
            {"rows": keys, "now": LATER}, ("gateway_notices_pkey",), sorts=1, rows_max={"gateway_notices": 50}
        ),
        "payments.store.notices._FIND_OPERATIONS": Rule(
            {"rows": wanted}, ("operations_pkey", "operations_by_payment"), every_month=frozenset({"operations"})
        ),
        "payments.store.notices._FIND_ARCHIVED": Rule({"ids": array(payments)}),
        "payments.store.notices._FINISH": Rule(
            {"rows": finished}, ("gateway_notices_pkey",), rows_max={"gateway_notices": 50}
        ),
        "payments.store.notices._EXPIRE": Rule(
            {"before": LATER, "limit": LIMIT},
            ("gateway_notices_by_time", "gateway_notices_pkey"),
            sorts=1,
            rows_max={"gateway_notices": 3 * LIMIT},
        ),
    }


def analysing(rows: SeededRows) -> dict[str, Rule]:
    """Analytics: events and deliveries in the order of their cursors, and days by their keys."""
    (delivery_id,) = rows.ids(DELIVERY, "n % 150 <> 0 AND n % 100 <> 0", 1)
    name, cursor, one_cursor = "analytics.store.", "event_cursors_pkey", "delivery_cursor_pkey"
    outbox, every_month = frozenset({"outbox"}), frozenset({"outbox", "webhook_deliveries"})
    start = {"merchant_id": MERCHANT, "after_xid": "0", "after_id": UUID(int=0)}
    position = {"merchant_id": MERCHANT, "xid": "1", "event_id": UUID(int=0), "events": 1}
    ended = {"merchant_id": MERCHANT, "delivery_id": delivery_id, "currency": "RUB", "is_delivered": True}
    days = orjson.dumps([{"merchant_id": MERCHANT, "day": "2000-01-02", "currency": "RUB"}]).decode()
    wanted = {"first": "2000-01-01", "last": "2000-12-31", "after_day": "2000-01-01", "limit": LIMIT}
    page = {**wanted, "after_merchant_id": UUID(int=0), "after_currency": ""}
    return {
        "outbox.event_log._MERCHANTS": Rule(
            {"after": UUID(int=0), "limit": LIMIT},
            ("outbox_feed",) * 2,
            every_month=outbox,
            rows_max={"outbox": (LIMIT + 1) * PARTITIONS},
        ),
        "outbox.event_log._WITH_NEWS": Rule(
            {"merchant_ids": array([MERCHANT]), "xids": "{0}", "ids": array([str(UUID(int=0))])},
            ("outbox_feed",),
            every_month=outbox,
            rows_max={"outbox": 1},
        ),
        f"{name}projection.events_statement": Rule(
            {**start, "wanted": TYPES, "outcomes": "{}", "limit": LIMIT},
            # Once for what changes the figures, and once for what comes too late.
            ("outbox_feed", *("closed_months_pkey",) * 2),
            sorts=6,
            every_month=outbox,
            rows_max={"outbox": LIMIT + PARTITIONS},
            statement=projection.events_statement(),
        ),
        f"{name}projection.deliveries_statement": Rule(
            {"rows": orjson.dumps([{**ended, "created_at": NOW, "ended_at": NOW}]).decode()},
            ("closed_months_pkey",) * 2,
            sorts=2,
            statement=projection.deliveries_statement(),
        ),
        "webhooks.store.ended._HORIZON": Rule({"lag_seconds": 5.0}, ("pg_database_oid_index",)),
        "webhooks.store.ended._ENDED": Rule(
            {"after_at": "-infinity", "after_id": UUID(int=0), "before": LATER, "limit": LIMIT},
            ("webhook_deliveries_ended",),
            every_month=every_month,
            rows_max={"webhook_deliveries": LIMIT + PARTITIONS},
        ),
        f"{name}cursors._FIND": Rule({"merchant_ids": array([MERCHANT])}, (cursor,)),
        f"{name}cursors._ADD": Rule({"merchant_id": MERCHANT}),
        f"{name}cursors._LOCK": Rule({"merchant_id": MERCHANT}, (cursor,)),
        f"{name}cursors._SAVE": Rule(position, (cursor,)),
        f"{name}cursors._DELIVERIES": Rule({}, (one_cursor,)),
        f"{name}cursors._LOCK_DELIVERIES": Rule({}, (one_cursor,)),
        f"{name}cursors._SAVE_DELIVERIES": Rule({"ended_at": NOW, "delivery_id": UUID(int=0)}, (one_cursor,)),
        # What has changed since the last minute is few.
        f"{name}aggregates.dirty_statement": Rule(
            {"days_max": LIMIT, "payments_max": 1000},
            ("days_pkey", "dirty_days_pkey", "dirty_days_pkey"),
            sorts=2,
            statement=aggregates.dirty_statement(),
        ),
        f"{name}aggregates.days_statement": Rule(
            {"rows": days},
            ("counted_payments_pkey", "counted_refunds_pkey", "counted_deliveries_pkey"),
            sorts=0,
            statement=aggregates.days_statement(),
        ),
        f"{name}aggregates._FORGET": Rule({"rows": days}, ("dirty_days_pkey",)),
        **{
            f"{name}reading.{kind} of {', '.join(filters)}": Rule(
                {**page, **filters},
                ("days_pkey" if "merchant_id" in filters else "days_by_day",),
                sorts=(0 if filters else 1) if kind == "days_page" else (2 if filters else 1),
                statement=build(frozenset(filters)),
            )
            for kind, build in (("days_page", figures.days_page), ("months_page", figures.months_page))
            for filters in (
                {},
                {"merchant_id": MERCHANT},
                {"currency": "RUB"},
                {"merchant_id": MERCHANT, "currency": "RUB"},
            )
        },
    }


def small() -> dict[str, Rule]:
    """Statements about tables that do not grow, and about none."""
    circuits = {"names": '["gateway"]'}
    saved = {"rows": records(["gateway"], "name", failures=1, open_until=None), "now": NOW}
    paced = {"rows": records(["gateway"], "name", calls_per_second=1, next_call_at=NOW, ends_at=NOW), "now": NOW}
    return {
        "payments.store.circuits._READ": Rule(circuits, ("circuits_pkey",)),
        "payments.store.circuits._LOCK": Rule(circuits, sorts=1),
        "payments.store.circuits._SAVE": Rule(saved, ("circuits_pkey",)),
        "payments.store.circuits._SAVE_PACES": Rule(paced, ("circuits_pkey",)),
        "payments.store.circuits._FORGET": Rule({"before": NOW}, ("circuits_by_age",)),
        "payments.store.waits._TAKE": Rule(
            {"waits_max": 20, "seconds": 5}, ("api_waits_pkey",) * 2, rows_max={"api_waits": 2}
        ),
        "payments.store.waits._RELEASE": Rule({"slot": 1, "ends_at": NOW}, ("api_waits_pkey",)),
        "database.health._SCHEMA_REVISION": Rule({}, ("alembic_version_pkc",)),
        "database.health._PING": Rule(),
        "outbox.wake_up._LOCK": Rule(),
        "outbox.wake_up._UNLOCK": Rule(),
        "outbox.wake_up._WAKE": Rule(),
        "database.partitions._MONTHS": Rule(
            {"months_ahead": 3}, ("pg_class_relname_nsp_index", "pg_namespace_oid_index"), sorts=1
        ),
        "database.partitions._ENSURE_PARTITION": Rule({"parent": "payments", "month": NOW}),
    }


FINGERPRINT = f"{7:016x}"
REDRIVE = "00000000-0000-7000-8000-000000000001"


def dead(rows: SeededRows) -> dict[str, Rule]:
    """Dead letters: far fewer than payments, and still never read whole by what happens often."""
    waiting, redriving = rows.ids(PAYMENT, "n % 10 = 3"), rows.ids(CREATED, "n % 10 = 0")
    one, queued = {"id": waiting[0]}, array(redriving[:LIMIT])
    by = {"actor": "tests", "now": NOW}
    new = {
        "identity": "0" * 64,
        "death": "0" * 64,
        "queue": "webhooks",
        "dead_letter_queue": "payments.dead",
        "reason": "r",
        "fingerprint": FINGERPRINT,
        "count": 1,
        "message_id": "",
        "message_type": "",
        "correlation_id": "",
        "payment_id": None,
        "body": "",
        "headers": {},
        "deaths": [],
        "at": NOW,
    }
    return {
        **selecting(array(waiting[:LIMIT])),
        "dead_letters.store.recording._RECORD": Rule(
            {"rows": records([fresh(waiting[0])], "id", **new), "redelivered": "{}"}, ("dead_letters_once",), sorts=1
        ),
        "dead_letters.store.reading._ONE": Rule({**one, "body_bytes_max": 10}, ("dead_letters_pkey",)),
        "dead_letters.store.reading._ACTIONS": Rule({**one, "limit": LIMIT}, ("dead_letter_actions_by_letter",)),
        "dead_letters.store.changing._LOCK_ONE": Rule(one, ("dead_letters_pkey",)),
        "dead_letters.store.changing._DISCARD": Rule({**one, **by, "note": "why"}, ("dead_letters_pkey",)),
        "dead_letters.store.changing._INSERT_REDRIVE": Rule(
            {
                **by,
                "id": fresh(REDRIVE),
                "selection": "{}",
                "rate": 1,
                "matched": 1,
                "answer": "{}",
                "key": None,
                "request_fingerprint": None,
            }
        ),
        "dead_letters.store.changing._START": Rule(
            {**by, "redrive_id": REDRIVE, "rows": records(waiting[:1], "id", outbox_id=fresh(waiting[0]))},
            ("dead_letters_pkey",),
        ),
        "dead_letters.store.changing._LOCK_KEY": Rule({"actor": "tests", "key": "k"}),
        "dead_letters.store.changing._FIND_KEY": Rule(
            {"actor": "tests", "key": "k"}, ("dead_letter_redrives_key_once",)
        ),
        "dead_letters.store.changing._LOCK_WANTED": Rule({"ids": queued}, ("dead_letters_outbox_once",)),
        "dead_letters.store.changing._LOAD": Rule(
            {"ids": queued, "bytes_max": 10_000_000}, ("dead_letters_outbox_once",), rows_max={"dead_letters": LIMIT}
        ),
        "dead_letters.store.changing._WANTED": Rule({"ids": queued}, ("dead_letters_outbox_once",)),
        "dead_letters.store.changing._SETTLE": Rule({"ids": queued}, ("dead_letters_outbox_once",)),
        "dead_letters.store.counting._DEAD": Rule(
            {"limit": LIMIT}, ("dead_letters_dead",), rows_max={"dead_letters": LIMIT}
        ),
        "dead_letters.store.counting._IN_STATE": Rule(
            {"state": "discarded", "limit": LIMIT}, ("dead_letters_by_state",), rows_max={"dead_letters": LIMIT}
        ),
    }


def selecting(ids: str) -> dict[str, Rule]:
    """What each way of selecting dead letters reads."""
    few = {"dead_letters": LIMIT + 1}
    pages = {
        "dead_letters_pkey": {},
        "dead_letters_by_queue": {"queue": "webhooks"},
        "dead_letters_by_fingerprint": {"fingerprint": FINGERPRINT},
        "dead_letters_by_state": {"state": "dead"},
    }
    ways = ({"ids": ids}, {"fingerprint": FINGERPRINT}, {"queue": "webhooks"})
    queues = {"queues": "{webhooks,payments.new}", "limit": LIMIT}
    module = "dead_letters.store"
    return {
        **{
            f"{module}.reading._page by {index}": Rule(
                {"before": f"{'f' * 8}-{'f' * 4}-{'f' * 4}-{'f' * 4}-{'f' * 12}", "limit": LIMIT, **wanted},
                (index,),
                rows_max=few,
                statement=reading_store._page(frozenset(wanted)),
            )
            for index, wanted in pages.items()
        },
        f"{module}.reading._groups": Rule(
            {"state": "dead", "limit": LIMIT},
            ("dead_letters_by_state",),
            sorts=2,
            statement=reading_store._groups(frozenset({"state"})),
        ),
        # Both begin with what is dead. The index by state goes on in the order of the ids.
        **{
            f"{module}.changing._candidates by {name}": Rule(
                {**queues, **wanted},
                ("dead_letters_by_fingerprint" if name == "fingerprint" else "dead_letters_by_state",),
                sorts=name == "ids",
                statement=changing._candidates(frozenset(wanted), True),
            )
            for wanted in ways
            for name in wanted
        },
        **{
            f"{module}.changing._others by {name}": Rule(
                {**queues, **wanted},
                ("dead_letters_by_state" if name == "ids" else "dead_letters_dead",),
                statement=changing._others(frozenset(wanted)),
            )
            for wanted in ways
            for name in wanted
        },
    }


def screening(rows: SeededRows) -> dict[str, Rule]:
    """What screening a batch reads and writes. Its cost must not grow with what is kept."""
    ids = rows.ids(PAYMENT)
    digests = [hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest() for n in range(1, 24_001, 40)]
    kept = {"count": 3, "sums": {"RUB": 1}, "last_at": LATER, "kept_until": LATER}
    windows = {"owner_id": MERCHANT, "at": NOW, "window_seconds": 3600, "place": 0}
    decided = {"merchant_id": MERCHANT, "rule_set_version": 1, "decision": "review", "score": 1, "rules": ["a"]}
    module = "fraud.store"
    return {
        f"{module}.rule_sets._PRESENT": Rule(
            {"merchant_ids": array([MERCHANT])}, ("fraud_rule_sets_pkey",), rows_max={"fraud_rule_sets": 1}
        ),
        f"{module}.rule_sets._RULES": Rule(
            {"rows": records([MERCHANT], "merchant_id", version=7)},
            ("fraud_rule_sets_pkey",),
            rows_max={"fraud_rule_sets": 1},
        ),
        f"{module}.rule_sets._LATEST": Rule(
            {"merchant_id": MERCHANT, "version": 40}, ("fraud_rule_sets_pkey",), rows_max={"fraud_rule_sets": 1}
        ),
        f"{module}.rule_sets._ADD": Rule(
            {"merchant_id": MERCHANT, "rules": "[]", "rule_count": 0, "actor": "a", "now": NOW},
            ("fraud_rule_sets_pkey",),
            rows_max={"fraud_rule_sets": 1},
        ),
        f"{module}.counters._LOCK": Rule({"rows": records(digests, "digest", owner_id=MERCHANT, **kept)}, sorts=1),
        f"{module}.counters._READ": Rule(
            {"rows": records(digests, "digest", **windows), "length": len(digests)},
            ("fraud_counters_pkey", "fraud_counter_points_pkey"),
            rows_max={"fraud_counters": len(digests), "fraud_counter_points": 2 * len(digests)},
        ),
        f"{module}.counters._WRITE": Rule(
            {
                "counters": records(digests, "digest", owner_id=MERCHANT, **kept),
                "length": len(digests),
                "points": records(
                    digests, "digest", owner_id=MERCHANT, at=LATER, count_before=2, sums_before={}, kept_until=LATER
                ),
            },
            ("fraud_counters_pkey",),
            rows_max={"fraud_counters": len(digests)},
        ),
        f"{module}.counters._DELETE_OLD": Rule(
            {"now": LATER, "limit": LIMIT},
            (
                "fraud_counter_points_to_delete",
                "fraud_counter_points_pkey",
                "fraud_counters_pkey",
                "fraud_counters_pkey",
            ),
            sorts=1,
            rows_max={"fraud_counter_points": 2 * LIMIT, "fraud_counters": 2 * LIMIT},
        ),
        f"{module}.decisions._ADD": Rule(
            {
                "rows": records([fresh(id_) for id_ in ids], "payment_id", facts={}, **decided),
                "now": NOW,
                "review_expires_at": LATER,
            }
        ),
        "payments.store.reviews._CHANGE": Rule(
            {
                "rows": records(
                    rows.ids(PAYMENT, "n % 200 = 0"),
                    "id",
                    status="review",
                    screening={},
                    version=2,
                    last_sequence=4,
                    updated_at=NOW,
                ),
                "length": 60,
            },
            ("payments_pkey",),
            rows_max={"payments": 60},
        ),
        "payments.store.history._KNOWN_CUSTOMERS": Rule(
            {
                "rows": records(
                    ["customer 40"], "customer", place=0, merchant_id=MERCHANT, before=str(UUID(int=2**128 - 1))
                ),
                "length": 1,
            },
            ("payments_by_customer",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": PARTITIONS},
        ),
    }


def reviewing(rows: SeededRows) -> dict[str, Rule]:
    ids = rows.ids(PAYMENT, "n % 100 = 51")
    one = {"id": ids[0], "merchant_id": MERCHANT}
    some = {"payment_ids": array(ids), "length": len(ids)}
    return {
        "fraud.store.decisions._FIND": Rule(
            {"payment_ids": array(ids)}, ("fraud_decisions_pkey",), rows_max={"fraud_decisions": len(ids)}
        ),
        "fraud.store.decisions._ANSWER": Rule(
            {**some, "answer": "approved", "actor": "a", "note": None, "now": NOW},
            ("fraud_decisions_pkey",),
            rows_max={"fraud_decisions": len(ids)},
        ),
        "fraud.store.decisions._EXPIRED": Rule(
            {"now": LATER, "limit": LIMIT},
            ("fraud_decisions_in_review",),
            every_month=frozenset({"fraud_decisions"}),
            rows_max={"fraud_decisions": LIMIT + PARTITIONS},
        ),
        "payments.store.reviews._LOCK_ONE": Rule(one, ("payments_pkey",), rows_max={"payments": 1}),
        "payments.store.reviews._LOCK_ALL": Rule(
            {"ids": array(ids)}, ("payments_pkey",), sorts=1, rows_max={"payments": len(ids)}
        ),
        "payments.store.reviews._TAKE_KEY": Rule(
            {
                "merchant_id": MERCHANT,
                "operation": "approve_payment",
                "key": "k",
                "fingerprint": bytes(32),
                "resource_id": ids[0],
                "response_status": 202,
                "response_body": "{}",
                "created_at": NOW,
            }
        ),
        "payments.store.reviews._LIST": Rule(
            {"after": str(UUID(int=0)), "limit": LIMIT},
            ("payments_in_review",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
    }


def replaying(rows: SeededRows) -> dict[str, Rule]:
    """Replays: a slice of the event log costs the same wherever it is, and few replays are open."""
    replay = rows.open_replay()
    one = {"id": replay}
    name, few = "replay.store.replays.", {"replays": 1}
    # The row of the outbox that a replay goes on by, if it has one.
    shown = {**few, "outbox": 1}
    begin = NOW - timedelta(days=40)
    part = {"begin_at": begin, "end_at": NOW, "taken": ".", "chosen": ".", "bytes_max": 1_000_000}
    ids = {"position": floor(begin), "last_id": floor(NOW)}
    return {
        f"{name}_LOCK_COUNT": Rule(),
        f"{name}_COUNT_OPEN": Rule({}, ("replays_open",)),
        f"{name}_HORIZON": Rule(),
        f"{name}_ADD": Rule(
            {
                "id": UUID(int=9),
                "consumer": "webhooks",
                "chosen": "[]",
                "begin_at": begin,
                "end_at": NOW,
                "rate_per_second": 1,
                "is_dry_run": True,
                "state": "running",
                "horizon": "1",
                "position": UUID(int=0),
                "created_by": "tests",
                "created_at": NOW,
                "outbox_id": None,
            }
        ),
        f"{name}_FIND": Rule(one, ("replays_pkey", "outbox_pkey"), rows_max=shown),
        f"{name}_LIST": Rule(
            {"before": UUID(int=2**128 - 1), "limit": LIMIT},
            ("replays_pkey", "outbox_pkey"),
            rows_max={"replays": LIMIT, "outbox": LIMIT},
        ),
        f"{name}_LOCK": Rule(one, ("replays_pkey",), rows_max=few),
        f"{name}_LOCK_FREE": Rule(one, ("replays_pkey",), rows_max=few),
        f"{name}_LOCK_OF_ROW": Rule({"row_id": replay}, ("replays_outbox_once",), rows_max=few),
        f"{name}_EXISTS_FOR_ROW": Rule({"row_id": replay}, ("replays_outbox_once",), rows_max=few),
        f"{name}_DRY_RUNS": Rule({"limit": LIMIT}, ("replays_open",)),
        f"{name}_SAVE": Rule(
            {
                "id": replay,
                "state": "running",
                "position": UUID(int=0),
                "checked": 1,
                "events": "{}",
                "unseen": "{}",
                "finished_at": None,
                "outbox_id": replay,
                "changed_by": None,
            },
            ("replays_pkey",),
            rows_max=few,
        ),
        # Once a minute. A year's replays are few.
        f"{name}_EXPIRE": Rule({"before": NOW - timedelta(days=365)}, whole=frozenset({"replays"})),
        "replay.store.facts._ARE_OVER": Rule({"horizon": "1"}),
        # The running sums need the order once more.
        "replay.store.facts._READ": Rule(
            {**part, **ids, "scanned_max": LIMIT, "wanted_max": LIMIT},
            ("outbox_pkey",),
            sorts=1,
            every_month=frozenset({"outbox"}),
            rows_max={"outbox": LIMIT + PARTITIONS},
        ),
    }


def auditing(rows: SeededRows) -> dict[str, Rule]:
    """Audits: each slice reads its range of ids by indexes, and joins it with what is of the same range."""
    payments, events = rows.ids(PAYMENT), rows.ids(SUCCEEDED)
    of_payments = {"after": payments[0], "last": payments[-1]}
    ids = {"after": events[0], "last": events[-1]}
    moments = {"first_of_moment": floor(NOW - timedelta(days=2)), "end_of_moment": floor(NOW - timedelta(days=1))}
    common = {**ids, "grace_seconds": 60, "taken": "."}
    start, end = UUID(int=0), UUID(int=2**128 - 1)
    outbox, both = frozenset({"outbox"}), frozenset({"outbox", "payments", "operations"})
    slice_ = {"after": start, "end": end, "limit": LIMIT}
    return {
        "outbox.audit._NEXT_ROWS": Rule(
            slice_, ("outbox_pkey",), sorts=1, every_month=outbox, rows_max={"outbox": LIMIT + PARTITIONS}
        ),
        "outbox.audit._UNPUBLISHED": Rule(ids | {"grace_seconds": 60}, ("outbox_due",), sorts=1, every_month=outbox),
        "outbox.audit._WIDEN": Rule(),
        "payments.store.audit._NEXT_PAYMENTS": Rule(
            slice_,
            ("payments_pkey",),
            sorts=1,
            every_month=frozenset({"payments"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
        "payments.store.audit._PAYMENTS": Rule(
            of_payments, ("payments_pkey", "outbox_by_payment"), sorts=2, every_month=both
        ),
        "payments.store.audit._REFUNDS": Rule(
            of_payments, ("operations_by_payment", "outbox_by_payment"), sorts=2, every_month=both
        ),
        "payments.store.audit._OLDER_PAYMENTS": Rule(
            ids | {"begin": end},
            ("outbox_pkey", "payments_pkey", "payments_pkey", "outbox_pkey", "payments_pkey", "outbox_by_payment"),
            sorts=2,
            every_month=both,
        ),
        "payments.store.audit._OLDER_REFUNDS": Rule(
            ids | {"begin": end},
            (
                *("outbox_pkey", "payments_pkey", "operations_by_payment", "outbox_pkey", "payments_pkey"),
                "outbox_by_payment",
            ),
            sorts=2,
            every_month=both,
        ),
        "webhooks.store.audit._UNDELIVERED": Rule(
            {**common, **moments, "outcomes": "{payment.succeeded}"},
            (
                *("outbox_pkey", "webhook_deliveries_pkey", "webhook_deliveries_by_payment"),
                *("webhook_endpoints_by_merchant", "payments_pkey"),
            ),
            sorts=1,
            every_month=frozenset({"outbox", "webhook_deliveries"}),
        ),
        "notifications.store.audit._UNTOLD": Rule(
            {**common, **moments, "told": "{payment.succeeded}", "channels": "{email}"},
            ("outbox_pkey", "notifications_pkey", "merchants_pkey"),
            sorts=1,
            every_month=frozenset({"outbox", "notifications"}),
        ),
        # A row a night. Old ones are deleted once a night.
        **{
            f"audit.store.{name}": Rule({}, ("outbox_audits_pkey",))
            for name in ("_FIND_NEWEST", "_FIND_LAST", "_FIND_COMPLETE_END")
        },
        "audit.store._ADD": Rule(
            {
                "id": start,
                "begin_at": NOW - timedelta(days=1),
                "end_at": NOW,
                "grace_seconds": 60.0,
                "position": "rows:x",
                "created_at": NOW,
                "delete_before": NOW - timedelta(days=366),
            },
            whole=frozenset({"outbox_audits"}),
        ),
        "audit.store._SAVE": Rule(
            {
                "id": start,
                "position": None,
                "checked": 1,
                "payments": 1,
                "others": 1,
                "gaps": "[]",
                "finished_at": NOW,
                "before": "rows:x",
            },
            ("outbox_audits_pkey",),
        ),
        # It reads the catalog.
        "outbox.audit._KEPT_FROM": Rule({}, ("pg_inherits_parent_index", "pg_class_oid_index"), sorts=2),
        "webhooks.store.audit._UNDELIVERED_STEPS": Rule(
            {**ids, **moments, "grace_seconds": 60, "steps": "{payment.created}"},
            (
                *("outbox_pkey", "webhook_deliveries_pkey", "outbox_by_payment", "outbox_by_payment"),
                *("webhook_endpoints_by_merchant", "merchants_pkey"),
            ),
            sorts=1,
            every_month=frozenset({"outbox", "webhook_deliveries"}),
        ),
        "webhooks.store.audit._NEXT_ENDPOINTS": Rule(
            slice_, ("webhook_endpoints_pkey",), sorts=1, rows_max={"webhook_endpoints": LIMIT}
        ),
        "webhooks.store.audit._ENDPOINTS": Rule(
            {**ids, "begin_at": NOW, "kept_from": start},
            ("webhook_endpoints_pkey", "outbox_by_subject"),
            sorts=2,
            every_month=outbox,
        ),
        "ledger.store.audit._NEXT_PAYOUTS": Rule(slice_, ("payouts_pkey",), sorts=1, rows_max={"payouts": LIMIT}),
        "ledger.store.audit._PAYOUTS": Rule(ids, ("payouts_pkey", "outbox_by_subject"), sorts=2, every_month=outbox),
        "bridge.store.sent._RECORD": Rule(
            {"ids": array([fresh(events[0])])}, ("recording_pkey",), whole=frozenset({"recording"})
        ),
        "bridge.store.sent._UNSENT": Rule(
            common,
            ("outbox_pkey", "sent_events_pkey"),
            every_month=frozenset({"outbox", "sent_events"}),
            whole=frozenset({"recording"}),
        ),
        "bridge.store.sent._WAITING": Rule(
            {"ids": array(events[:1]), "subject_ids": array(payments[:1]), "grace_seconds": 60},
            ("outbox_by_subject",),
            sorts=1,
            every_month=outbox,
        ),
        "ledger.store.audit._UNPOSTED": Rule(
            common,
            ("outbox_pkey", "journals_pkey", "books_one_is_live", "books_one_is_live"),
            every_month=frozenset({"outbox", "journals"}),
            whole=frozenset({"books"}),
        ),
        "dead_letters.store.audit._DEAD": Rule(
            {"ids": "{a}", "queues": "{webhooks}"}, ("dead_letters_by_queue",), sorts=1
        ),
    }


def floor(at: datetime) -> UUID:
    """The lowest id of that moment."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def trying(rows: SeededRows) -> dict[str, Rule]:
    """Dry runs: each slice of past payments costs the same, wherever it is."""
    running = rows.running_dry_run()
    one = {"id": running, "merchant_id": MERCHANT}
    times = {"since": NOW - timedelta(days=40), "end": NOW - timedelta(days=20), "merchant_id": MERCHANT}
    module = "fraud.store.dry_runs"
    return {
        f"{module}._FIND": Rule(one, ("fraud_dry_runs_pkey",), rows_max={"fraud_dry_runs": 1}),
        f"{module}._LOCK": Rule({"id": running}, ("fraud_dry_runs_pkey",), rows_max={"fraud_dry_runs": 1}),
        f"{module}._RUNNING": Rule({"limit": LIMIT}, ("fraud_dry_runs_running",), sorts=1),
        f"{module}._CANCEL": Rule(
            {"merchant_id": MERCHANT, "now": NOW}, ("fraud_dry_runs_running",), rows_max={"fraud_dry_runs": 1}
        ),
        f"{module}._ADD": Rule(
            {
                "id": str(UUID(int=7)),
                "merchant_id": MERCHANT,
                "rules": "[]",
                "counted_from": NOW,
                "begin_at": NOW,
                "end_at": NOW,
                "created_at": NOW,
                "warm_up": 0,
                "total": 0,
            }
        ),
        f"{module}._SAVE": Rule(
            {
                "id": running,
                "state": "running",
                "total": 1,
                "read": 1,
                "checked": 1,
                "position": running,
                "position_at": NOW,
                "decisions": "{}",
                "fired": "{}",
                "samples": "[]",
                "finished_at": None,
            },
            ("fraud_dry_runs_pkey",),
            rows_max={"fraud_dry_runs": 1},
        ),
        f"{module}._EXPIRE": Rule(
            {"now": NOW, "unfinished_before": NOW - timedelta(days=1), "kept_from": NOW - timedelta(days=30)},
            ("fraud_dry_runs_running", "fraud_dry_runs_by_age"),
        ),
        "payments.store.history._COUNT": Rule(
            {**times, "begin": NOW - timedelta(days=30)},
            ("payments_by_merchant",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": 1000},
        ),
        "payments.store.history._READ": Rule(
            {**times, "after": str(UUID(int=0)), "limit": LIMIT},
            ("payments_by_merchant",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
    }


def rebuilding(rows: SeededRows) -> dict[str, Rule]:
    """Rebuilds: each slice of the log and of the books costs the same, wherever it is."""
    first, last = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    one = {"id": str(UUID(int=7))}
    log = {"from_xid": "0", "until_xid": str(2**63), "at_xid": "0", "at_event": first, "limit": LIMIT}
    part = {"live": 1, "rebuilt": 2, "after": first, "until": last}
    few = array(rows.ids(SUCCEEDED, limit=3))
    events, outbox = frozenset({"journals", "transfers"}), frozenset({"outbox"})
    saved = dict.fromkeys(rebuilds._SAVED) | {
        "phase": "building",
        "state": "running",
        "from_xid": "0",
        "until_xid": "1",
    }
    new = {"book": 2, "live_book": 1, "rules_version": 1, "actor": "a", "created_at": NOW, "until_xid": "1"}
    ones, ids, places = "{1,1}", array([fresh(first), fresh(last)]), "{1,2}"
    built = {
        **dict.fromkeys(("event_ids", "ids", "owners", "payment_ids", "operation_ids"), ids),
        **dict.fromkeys(("rules", "rule_versions", "numbers", "debits", "credits", "day_debits", "day_credits"), ones),
        **dict.fromkeys(("debit_accounts", "accounts", "day_accounts"), places),
        "book": 1,
        "journals": places,
        "credit_accounts": "{2,1}",
        "amounts": ones,
        "places": "{2,2}",
        "currencies": "{RUB,RUB}",
        "moved_currencies": "{RUB,RUB}",
        "times": array([NOW.isoformat()] * 2),
        "days": array([NOW.date().isoformat()] * 2),
    }
    of_store = "ledger.store"
    return {
        f"{of_store}.books._LIST": Rule({"limit": LIMIT}, ("books_pkey",)),
        f"{of_store}.books._FIND_LIVE": Rule({}, ("books_one_is_live",)),
        f"{of_store}.books._SHARE": Rule({"id": 1}, ("books_pkey",)),
        f"{of_store}.books._ESTIMATE": Rule(
            {"book": 1, "unsealed_max": LIMIT},
            ("seals_pkey", "seal_heads_pkey", "journals_to_seal"),
            every_month=frozenset({"journals"}),
            rows_max={"journals": LIMIT + PARTITIONS},
        ),
        f"{of_store}.books._LOCK": Rule({"id": 1}, ("books_pkey",)),
        f"{of_store}.books._ADD": Rule({"name": "rebuild", "rules_version": 1}, ("books_one_is_live",)),
        f"{of_store}.books._RETIRE": Rule({"id": 1}, ("books_pkey",)),
        f"{of_store}.books._MAKE_LIVE": Rule({"id": 2, "at": NOW}, ("books_pkey",)),
        f"{of_store}.books._BEGIN_DROPPING": Rule({"id": 2}, ("books_pkey",)),
        f"{of_store}.books._DROP_PART": Rule({"id": 9, "rows_max": LIMIT}),
        f"{of_store}.books._FIND_DROPPING": Rule({}, ("books_pkey",)),
        f"{of_store}.building._POST": Rule(built, ("accounts_pkey",)),
        f"{of_store}.event_log._READ": Rule(
            {**log, "wanted": "{payment.failed,payment.created}", "at_merchant": first},
            ("merchants_pkey", "outbox_feed"),
            every_month=outbox,
            rows_max={"outbox": 2 * LIMIT},
        ),
        f"{of_store}.event_log._FIND_HORIZON": Rule(),
        f"{of_store}.event_log._FIND_LATER": Rule({"ids": few, "until_xid": "1"}, ("outbox_pkey",), every_month=outbox),
        f"{of_store}.comparing._FIND_END": Rule(
            {**part, "count": LIMIT},
            ("journals_pkey",) * 2,
            every_month=events,
            rows_max={"journals": LIMIT + PARTITIONS},
        ),
        f"{of_store}.comparing._READ_ENTRIES": Rule(
            part,
            ("journals_pkey",) * 2 + ("transfers_pkey",) * 2 + ("accounts_pkey",),
            sorts=2,
            every_month=events,
        ),
        f"{of_store}.comparing._READ_JOURNALS": Rule(
            part,
            ("journals_pkey",) * 2 + ("transfers_pkey",) * 2 + ("accounts_pkey",) * 4,
            sorts=1,
            every_month=events,
        ),
        f"{of_store}.comparing._COUNT_PART": Rule(
            {"book": 1, "after": first, "until": last}, ("journals_pkey",), every_month=events
        ),
        f"{of_store}.carrying._FIND": Rule(
            {"live": 1, "rebuilt": 2, "limit": LIMIT},
            (
                "journals_corrections",
                "journals_pkey",
                "journals_pkey",
                *("transfers_pkey",) * 3,
                *("accounts_pkey",) * 6,
            ),
            sorts=3,
            every_month=events,
        ),
        f"{of_store}.rebuilds._ADD": Rule(
            {**one, **new, "wait_seconds": 1, "switch_wanted": False, "journals_expected": 1}
        ),
        f"{of_store}.rebuilds._FIND": Rule(one, ("rebuilds_pkey",)),
        f"{of_store}.rebuilds._LIST": Rule({"before": None, "limit": LIMIT}, ("rebuilds_pkey",)),
        f"{of_store}.rebuilds._LOCK": Rule(one, ("rebuilds_pkey",)),
        f"{of_store}.rebuilds._LOCK_PATIENTLY": Rule(one, ("rebuilds_pkey",)),
        f"{of_store}.rebuilds._RUNNING": Rule({"limit": LIMIT}, ("rebuilds_running",), sorts=1),
        f"{of_store}.rebuilds._LOCK_COUNT": Rule(),
        f"{of_store}.rebuilds._COUNT_RUNNING": Rule({}, ("rebuilds_running",)),
        f"{of_store}.rebuilds._OF_BOOK": Rule({"book": 2}, ("rebuilds_running",)),
        f"{of_store}.rebuilds._SAVE": Rule({**saved, **one}, ("rebuilds_pkey",)),
        f"{of_store}.rebuilds._FIND_DIGESTS": Rule(
            {**one, "names": '["house/fees/EUR/2"]'}, ("rebuild_accounts_pkey",), sorts=1
        ),
        f"{of_store}.rebuilds._SAVE_DIGESTS": Rule({**one, "rows": "[]"}),
        f"{of_store}.rebuilds._FORGET_DIGESTS": Rule(one, ("rebuild_accounts_pkey",)),
        f"{of_store}.rebuilds._READ_DIGESTS": Rule({**one, "after": "", "limit": LIMIT}, ("rebuild_accounts_pkey",)),
    }


def sealing(rows: SeededRows) -> dict[str, Rule]:
    """Seals: the next block costs the same, however many journals there are."""
    (event,) = rows.ids(SUCCEEDED, limit=1)
    after = {"after_xid": "0", "after_event": event, "after_rule": 0, "book": 1, "limit": LIMIT}
    until = {"until_xid": str(2**63), "until_event": event, "until_rule": 9}
    seal = {"book": 1, "number": 1, "first_xid": "1", "first_event": event, "first_rule": 1, "last_xid": "1"}
    hashes = {"last_event": event, "last_rule": 1, "journals": 1, "hash": "00" * 32, "previous_hash": "00" * 32}
    of_store = "ledger.store.seals"
    of_block = ("journals_to_seal", "transfers_pkey", "accounts_pkey", "accounts_pkey")
    return {
        f"{of_store}._ADD_HEADS": Rule(whole=frozenset({"books"})),
        f"{of_store}._FIND_BOOKS": Rule({}, ("books_pkey", "seal_heads_pkey")),
        f"{of_store}._LOCK_HEAD": Rule({"book": 1}, ("seal_heads_pkey",)),
        f"{of_store}._READ_HEAD": Rule({"book": 1}, ("seal_heads_pkey", "seals_pkey"), rows_max={"seals": 1}),
        f"{of_store}._READ_NEXT": Rule(
            {**after, "delay_seconds": 0.0}, of_block, sorts=2, every_month=frozenset({"journals"})
        ),
        f"{of_store}._READ_BETWEEN": Rule({**after, **until}, of_block, sorts=2, every_month=frozenset({"journals"})),
        f"{of_store}._ADD_SEAL": Rule({**seal, **hashes}, ("seal_heads_pkey",)),
        f"{of_store}._READ_SEALS": Rule({"book": 1, "after": 0, "limit": LIMIT}, ("seals_pkey",)),
        f"{of_store}._COUNT_UNSEALED": Rule(
            after, ("journals_to_seal",), every_month=frozenset({"journals"}), rows_max={"journals": LIMIT + PARTITIONS}
        ),
    }


def verifying(rows: SeededRows) -> dict[str, Rule]:
    """Checks of invariants, which go through everything in parts."""
    times = {"not_before": NOW - timedelta(days=30), "before": NOW}
    last = "ffffffff-ffff-ffff-ffff-ffffffffffff"
    posted = rows.ids(SUCCEEDED, "n % 3 = 0 AND n % 100 <> 0", LIMIT)
    return {
        "ledger.store.verifying._NEXT_ACCOUNTS": Rule({"after": 0, "limit": LIMIT}, ("accounts_pkey", "books_pkey")),
        # The number of accounts is that of the merchants and their currencies.
        "ledger.store.verifying._BUSIEST_ACCOUNTS": Rule(
            {"limit": LIMIT}, ("books_one_is_live", "accounts_with_currency"), sorts=1, whole=frozenset({"accounts"})
        ),
        "ledger.store.verifying._CHECK_TOTALS": Rule(
            {"accounts": "{1,2}", "since": "-infinity", "first_day": NOW.date(), "limit": LIMIT},
            ("accounts_pkey", "books_pkey", "transfers_by_debit", "transfers_by_credit", "daily_totals_pkey"),
            every_month=frozenset({"transfers"}),
            rows_max={"transfers": 4 * LIMIT},
        ),
        **{
            f"ledger.store.verifying._SUM_{side}": Rule(
                {"account": 1, "after": "-infinity", "limit": LIMIT},
                (index,),
                every_month=frozenset({"transfers"}),
                rows_max={"transfers": LIMIT + PARTITIONS},
            )
            for side, index in (("DEBITS", "transfers_by_debit"), ("CREDITS", "transfers_by_credit"))
        },
        "ledger.store.verifying._READ_POSTED": Rule(
            {"book": 1, "events": array(posted)},
            ("journals_pkey", "transfers_pkey", "accounts_pkey", "accounts_pkey"),
            sorts=1,
            rows_max={"journals": len(posted), "transfers": 2 * len(posted)},
        ),
        "ledger.store.verifying._BEFORE_NEWEST_PAYOUTS": Rule({"count": LIMIT}, ("payouts_pkey",)),
        "ledger.store.verifying._READ_PAYOUTS": Rule(
            {"after": str(UUID(int=0)), "limit": LIMIT},
            (
                "payouts_pkey",
                "books_one_is_live",
                "journals_of_payouts",
                "transfers_pkey",
                "accounts_pkey",
                "accounts_pkey",
            ),
            every_month=frozenset({"journals", "transfers"}),
            rows_max={"payouts": LIMIT},
        ),
        "ledger.store.verifying._FIND_UNKNOWN_PAYOUTS": Rule(
            {"after": str(UUID(int=0)), "until": last, "limit": LIMIT},
            ("books_one_is_live", "journals_of_payouts", "payouts_pkey"),
            sorts=1,
            every_month=frozenset({"journals"}),
        ),
        "ledger.store.verifying._CHECK_SIDES": Rule(
            {}, ("books_pkey", "accounts_by_name or accounts_with_currency"), sorts=1
        ),
        "ledger.store.verifying._CHECK_RESERVED": Rule(
            {}, ("books_one_is_live", "accounts_by_name or accounts_with_currency"), sorts=1
        ),
        "ledger.store.verifying._READ_NEWEST": Rule(
            {**times, "wanted": "{payment.failed,payment.created}", "limit": LIMIT},
            ("outbox_pkey",),
            every_month=frozenset({"outbox"}),
        ),
        "verification.store.findings._BEGIN": Rule({"name": "new", "now": NOW, "due": NOW}),
        "verification.store.findings._SAVE": Rule(
            {"name": "new", "holds": True, "checked": 1, "detail": ""}, ("invariant_findings_pkey",)
        ),
        "verification.store.findings._READ": Rule({}, ("invariant_findings_pkey",)),
        "payments.store.verifying._READ": Rule(
            {"before": last, "limit": LIMIT},
            ("payments_pkey", "outbox_by_payment"),
            sorts=1,
            every_month=frozenset({"payments", "outbox"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
        "payments.store.verifying._READ_SUCCEEDED": Rule(
            {"after": str(UUID(int=0)), "gateway": "default", "limit": LIMIT},
            ("operations_pkey",),
            every_month=frozenset({"operations"}),
            rows_max={"operations": LIMIT + PARTITIONS},
        ),
        "payments.store.verifying._FIND_KNOWN": Rule(
            {"ids": array(rows.ids(PAYMENT, limit=3))}, ("operations_pkey",), every_month=frozenset({"operations"})
        ),
    }


RUN = "00000000-0000-4000-9000-000000000001"
DAY = (NOW - timedelta(days=30)).date().isoformat()
# Statements of so many days are kept from this one on.
OTHER_DAYS = 9
RECENT = (NOW - timedelta(days=OTHER_DAYS)).date().isoformat()


def reconciling(rows: SeededRows) -> dict[str, Rule]:
    """Reconciliations by day and their breaks: what is kept of other days costs nothing."""
    one = rows.ids(PAYMENT, "n % 4 = 0")[0]
    module, breaks = "reconciliation.store.runs", "reconciliation.store.breaks"
    by_id, by_day = ("reconciliations_pkey",), ("reconciliations_day_key",)
    of_run = {"reconciliation_id": RUN}
    found = {
        "id": str(UUID(int=7)),
        "identity": f"{RUN}|default|i",
        "type": "late",
        "leg": "gateway",
        "state": "open",
        **dict.fromkeys(
            ("resolution", "operation_id", "payment_id", "merchant_id", "kind", "direction", "at_gateway", "note")
        ),
        "in_payments": None,
        "in_ledger": None,
        "effects": {},
        "actor": None,
    }
    saved = {
        "id": RUN,
        "state": "running",
        "pass": 1,
        "began_at": NOW,
        "gateways": "{default}",
        "gateway": 0,
        "phase": "lines",
        "place": "{}",
        "totals": "{}",
        "matched": 0,
        "pending": 0,
        "on_the_way": 0,
        "difference": None,
        "unexplained": None,
        "actor": "a",
        "error": None,
        "retry_at": None,
        "failing_since": None,
        "finished_at": None,
    }
    return {
        f"{module}._FIND": Rule({"id": RUN}, by_id, rows_max={"reconciliations": 1}),
        f"{module}._FIND_DAY": Rule({"day": DAY}, by_day, rows_max={"reconciliations": 1}),
        f"{module}._LIST": Rule({"before": None, "limit": 7}, by_day, rows_max={"reconciliations": 7}),
        f"{module}._LOCK": Rule({"id": RUN}, by_id, rows_max={"reconciliations": 1}),
        f"{module}._LOCK_DAY": Rule({"day": DAY}, by_day, rows_max={"reconciliations": 1}),
        f"{module}._RUNNING": Rule(
            {"now": NOW, "limit": LIMIT}, ("reconciliations_running",), rows_max={"reconciliations": 1}
        ),
        f"{module}._ADD": Rule(
            {
                "id": str(UUID(int=7)),
                "day": "2000-01-01",
                "began_at": NOW,
                "gateways": "{default}",
                "phase": "statement",
                "actor": "a",
                "created_at": NOW,
            }
        ),
        f"{module}._SAVE": Rule(saved, by_id, rows_max={"reconciliations": 1}),
        f"{module}._HAS_GATEWAY": Rule({"gateway": "other"}, whole=frozenset({"reconciliations"})),
        f"{module}._COUNT_FAILED": Rule({"days": 7}, by_day, rows_max={"reconciliations": 7}),
        f"{breaks}._RECORD": Rule(
            {**of_run, "gateway": "default", "pass": 1, "rows": orjson.dumps([found]).decode(), "now": NOW}
        ),
        f"{breaks}._LOCK_FOUND": Rule(
            {"identities": f'["{RUN}|default|i60"]'},
            ("reconciliation_breaks_once", "reconciliation_break_actions_pkey"),
            sorts=1,
            rows_max={"reconciliation_breaks": 1, "reconciliation_break_actions": 1},
        ),
        f"{breaks}._REOPEN": Rule(
            {"ids": array([one]), "actor": "a", "note": "n", "now": NOW},
            ("reconciliation_breaks_pkey", "reconciliation_break_actions_pkey"),
            rows_max={"reconciliation_breaks": 1},
        ),
        f"{breaks}._STANDING": Rule(
            {"ids": array([RUN])}, ("reconciliation_breaks_standing",), rows_max={"reconciliation_breaks": 1}
        ),
        f"{breaks}._RESOLVE_GONE": Rule(
            {**of_run, "gateways": "{default}", "pass": 2, "actor": "a", "note": "n", "now": NOW},
            ("reconciliation_breaks_standing", "reconciliation_break_actions_pkey"),
        ),
        f"{breaks}._SUM_EFFECTS": Rule({**of_run, "pass": 1}, ("reconciliation_breaks_of_run",)),
        f"{breaks}._COUNT": Rule(of_run, ("reconciliation_breaks_of_run",)),
        f"{breaks}._COUNT_OPEN": Rule(
            {"limit": 5}, ("reconciliation_breaks_open",), rows_max={"reconciliation_breaks": 5}
        ),
        f"{breaks}._LIST": Rule(
            {**of_run, "after": str(UUID(int=0)), "state": None, "type": None, "limit": 10},
            ("reconciliation_breaks_of_run",),
            rows_max={"reconciliation_breaks": 10},
        ),
        f"{breaks}._FIND": Rule({"id": one}, ("reconciliation_breaks_pkey",), rows_max={"reconciliation_breaks": 1}),
        f"{breaks}._LOCK": Rule({"id": one}, ("reconciliation_breaks_pkey",), rows_max={"reconciliation_breaks": 1}),
        f"{breaks}._CHANGE": Rule(
            {
                "id": one,
                "state": "void",
                "resolution": None,
                "note": "n",
                "actor": "a",
                "action": "void",
                "now": NOW,
            },
            ("reconciliation_breaks_pkey", "reconciliation_break_actions_pkey"),
            rows_max={"reconciliation_breaks": 1},
        ),
        f"{breaks}._ACTIONS": Rule({"id": one}, ("reconciliation_break_actions_pkey",)),
    }


def statement_lines(rows: SeededRows) -> dict[str, Rule]:
    """The lines of a statement, in slices, and by the operations that they name."""
    module = "reconciliation.store.statements"
    ids = rows.ids(PAYMENT)[:BATCH]
    keys, of_day = {"keys": array(ids), "statement_id": RUN}, {"gateway": "default", "day": DAY}
    other_days = {"gateway": "default", "statement_id": RUN, "first_day": RECENT}
    lines, lines_by_key = "gateway_statement_lines", ("gateway_statement_lines_pkey",)
    line = {
        "key": str(UUID(int=7)),
        "is_named": True,
        "number": 1,
        "line_id": "ch",
        "kind": "charge",
        "amount_minor": 1,
        "currency": "EUR",
        "status": "succeeded",
        "at": NOW,
        "is_of_day": True,
    }
    waiting = orjson.dumps([{"key": id_, "kind": "charge"} for id_ in ids]).decode()
    return {
        f"{module}._FIND": Rule(of_day, ("gateway_statements_pkey",), rows_max={"gateway_statements": 1}),
        f"{module}._IMPORTED": Rule({"day": DAY}, ("gateway_statements_pkey",), rows_max={"gateway_statements": 1}),
        f"{module}._REPLACE": Rule(
            {**of_day, "id": str(UUID(int=7)), "source": "gateway", "has_holds": True, "actor": "a", "now": NOW},
            ("gateway_statements_pkey",),
            rows_max={"gateway_statements": 1},
        ),
        f"{module}._ADD_LINES": Rule(
            {"statement_id": RUN, "rows": orjson.dumps([line]).decode()}, ("gateway_statements_id_key",)
        ),
        f"{module}._READ": Rule(
            {"statement_id": RUN, "key": str(UUID(int=0)), "number": 0, "limit": LIMIT},
            lines_by_key,
            rows_max={lines: LIMIT},
        ),
        f"{module}._READ_KEYS": Rule(keys, lines_by_key, rows_max={lines: BATCH}),
        f"{module}._ON_OTHER_DAYS": Rule(
            {
                **other_days,
                "rows": orjson.dumps([{"key": id_, "is_reversal": False, "since": RECENT} for id_ in ids]).decode(),
            },
            ("gateway_statements_pkey", *lines_by_key),
            rows_max={lines: BATCH, "gateway_statements": OTHER_DAYS},
        ),
        f"{module}._REFUNDS_ON_OTHER_DAYS": Rule(
            {**other_days, "line_ids": '["ch_2"]'},
            ("gateway_statements_pkey", "gateway_statement_lines_by_id"),
            rows_max={lines: 1, "gateway_statements": OTHER_DAYS},
        ),
        f"{module}._WITHOUT_LINES": Rule(keys, lines_by_key, rows_max={lines: BATCH}),
        f"{module}._READ_IDS": Rule(
            {"statement_id": RUN, "line_ids": '["ch_2"]'}, ("gateway_statement_lines_by_id",), rows_max={lines: 1}
        ),
        f"{module}._WAIT": Rule(
            {"statement_id": RUN, "rows": waiting, "now": NOW}, lines_by_key, rows_max={lines: BATCH}
        ),
        f"{module}._WAITING": Rule(
            {"statement_id": RUN, "key": str(UUID(int=0)), "limit": 10},
            ("gateway_statement_lines_waiting",),
            # One more tells that the last operation has no other line.
            rows_max={lines: 11},
        ),
        f"{module}._WAIT_NO_MORE": Rule(keys, ("gateway_statement_lines_waiting",), rows_max={lines: BATCH}),
        f"{module}._FORGET_ASKED": Rule(
            {"statement_id": RUN, "key": str(UUID(int=0)), "number": 0, "limit": 10},
            lines_by_key * 2,
            sorts=1,
            rows_max={lines: 20},
        ),
        f"{module}._SUM": Rule({"day": DAY, "gateways": "{default}"}, ("gateway_statements_pkey", *lines_by_key)),
        f"{module}._LEAVE_OLD": Rule({"before": "2000-01-01T00:00:00Z"}, ("gateway_statements_pkey",)),
        f"{module}._LEFTOVER": Rule({}, ("gateway_statement_leftovers_pkey",)),
        f"{module}._DELETE_LINES": Rule({"id": RUN, "limit": 10}, lines_by_key * 2, rows_max={lines: 20}),
        f"{module}._DELETE_LEFTOVER": Rule({"id": RUN}, ("gateway_statement_leftovers_pkey",)),
    }


def reconciled_sides(rows: SeededRows) -> dict[str, Rule]:
    """Our operations and the ledger's journals, for a slice of a day."""
    module = "payments.store.recorded_operations"
    ids = rows.ids(PAYMENT)[:BATCH]
    beside = ("operations_pkey", "payments_pkey", "charges_to_return_pkey")
    return {
        f"{module}._FIND": Rule({"ids": array(ids)}, ("operations_pkey", *beside)),
        f"{module}._FIND_ARCHIVED": Rule({"ids": array(ids)}, ("operations_pkey",)),
        f"{module}._FIND_REFUNDS": Rule(
            {"ids": array(ids), "floor": followers_floor(map(UUID, ids))},
            ("operations_by_payment", *beside),
            every_month=frozenset({"operations"}),
        ),
        f"{module}._SCAN": Rule(
            {
                "after": followers_floor(map(UUID, ids)),
                "end": LATER,
                "begin": NOW - timedelta(days=1),
                "gateway": "default",
                "late_seconds": 3600.0,
                "limit": LIMIT,
            },
            ("operations_pkey", "charges_to_return_pkey"),
            sorts=2,
            every_month=frozenset({"operations"}),
            rows_max={"operations": LIMIT + PARTITIONS},
        ),
        f"{module}._FLOOR": Rule({"moment": NOW}),
        "ledger.store.clearing._CLEARED": Rule(
            {"payment_ids": array(ids), "floor": followers_floor(map(UUID, ids))},
            ("journals_by_payment", "transfers_pkey", "accounts_pkey", "accounts_pkey", "books_pkey"),
            sorts=1,
            every_month=frozenset({"journals"}),
        ),
    }


def counting() -> dict[str, Rule]:
    """Figures for the metrics. The tables that are read whole hold a row for each counter, and a minute's counts."""
    counts = {"counts": '{"a": 1}'}
    return {
        "payments.store.counting._UNSETTLED": Rule(
            {"limit": LIMIT},
            ("payments_unsettled",),
            every_month=frozenset({"payments"}),
            rows_max={"payments": LIMIT + PARTITIONS},
        ),
        "webhooks.store.counting._PENDING": Rule(
            {"limit": LIMIT},
            ("webhook_deliveries_pending",),
            every_month=frozenset({"webhook_deliveries"}),
            rows_max={"webhook_deliveries": LIMIT + PARTITIONS},
        ),
        "payments.store.counting._OPEN_CIRCUITS": Rule({"now": NOW}, whole=frozenset({"circuits"})),
        "database.counters._READ": Rule({}, ("counters_pkey",), sorts=1, whole=frozenset({"counter_deltas"})),
        "database.counters._FOLD": Rule({"limit": LIMIT}, sorts=1, whole=frozenset({"counter_deltas"})),
        "database.counters._ADD": Rule(counts),
        "database.counters._ADD_ALONE": Rule(counts),
    }


def complaints(rule: Rule, plan: Plan) -> list[str]:
    """What the plan does that the rule does not allow."""
    found = growing(rule, plan)
    # A rule may name indexes that do equally well, as in "one or another".
    reads = plan.reads({name: either for either in rule.reads for name in either.split(" or ")})
    if reads != Counter(rule.reads):
        found.append(f"it reads {dict(reads)} and not {dict(Counter(rule.reads))}")
    if len(plan.sort_keys) != rule.sorts:
        found.append(f"it sorts {len(plan.sort_keys)} times and not {rule.sorts}: by {plan.sort_keys}")
    return found


def growing(rule: Rule, plan: Plan) -> list[str]:
    """What of it takes longer with every row that is kept."""
    found = [f"{table} is read whole" for table in plan.read_whole - rule.whole]
    for table, visited in plan.partitions.items():
        if table in PARTITIONED - rule.every_month and len(visited) > 1:
            found.append(f"it looks for one month's {table} in {sorted(visited)}")
    for table, rows_max in rule.rows_max.items():
        if plan.rows.get(table, 0) > rows_max:
            found.append(f"it fetches {plan.rows[table]} rows of {table}, which is more than {rows_max}")
    return found


NAMES = sorted({*statements(), *builders()})


def test_every_statement_has_a_rule(rows: SeededRows) -> None:
    assert sorted({name.partition(" ")[0] for name in rules(rows)}) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_has_its_shape(name: str, rows: SeededRows, planner: Planner) -> None:
    of_name = {use: rule for use, rule in rules(rows).items() if use.partition(" ")[0] == name}
    found = {use: complaints(rule, planner.plan(rule.of(use), rule.parameters)) for use, rule in of_name.items()}
    assert found == {use: [] for use in of_name}


# What a slice of a day looks for began in the months from that of its operations on.
@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("payments.store.recorded_operations._FIND_REFUNDS", "operations"),
        ("payments.store.recorded_operations._SCAN", "operations"),
        ("ledger.store.clearing._CLEARED", "journals"),
    ],
)
def test_months_before_those_of_the_payments_are_not_read(
    name: str, table: str, rows: SeededRows, planner: Planner
) -> None:
    rule = rules(rows)[name]
    visited = planner.plan(rule.of(name), rule.parameters).partitions[table]
    this_month = datetime.now(UTC).date().replace(day=1)
    earlier = {f"{table}_{month:%Y_%m}" for month in (this_month - timedelta(days=1), this_month - timedelta(days=32))}
    assert (f"{table}_{this_month:%Y_%m}" in visited, visited & earlier) == (True, set())


def test_a_plan_made_before_the_first_rows_fetches_no_more_of_them(postgres_server: Postgres) -> None:
    """A session keeps what it planned when the tables were empty, for minutes or for hours."""
    url = postgres_server.fresh_database()
    with closing(Database(address_of(url), "tests", SEED_SECONDS_MAX)) as database:
        connection = connection_of(database)
        planner, rows = Planner(connection), SeededRows(connection)
        kept = {use: (rule, planner.planned_later(rule.of(use), rule.parameters)) for use, rule in rules(rows).items()}
        rows.write()
        found = {use: growing(rule, plan()) for use, (rule, plan) in kept.items()}
    postgres_server.drop_database(url)
    assert found == {use: [] for use in kept}


class TestTheRulesThemselves:
    """What each rule looks for is found where it is."""

    def test_a_table_read_whole(self, planner: Planner, rows: SeededRows) -> None:
        plan = planner.plan(Statement("SELECT count(body) FROM outbox"), {})
        assert "outbox is read whole" in complaints(Rule(every_month=PARTITIONED), plan)

    def test_an_index_read_twice_and_the_wrong_one(self, planner: Planner, rows: SeededRows) -> None:
        sql = "SELECT FROM payments a JOIN payments b USING (id) WHERE a.id = :id::uuid"
        plan = planner.plan(Statement(sql), {"id": rows.ids(PAYMENT)[0]})
        assert complaints(Rule(reads=("payments_pkey",) * 2), plan) == []
        assert len(complaints(Rule(reads=("payments_pkey",)), plan)) == 1
        assert len(complaints(Rule(reads=("payments_unsettled",)), plan)) == 1

    def test_every_month_for_an_array_of_ids(self, planner: Planner, rows: SeededRows) -> None:
        sql = "SELECT FROM payments WHERE id = ANY(:ids::uuid[])"
        plan = planner.plan(Statement(sql), {"ids": array(rows.ids(PAYMENT))})
        assert len(complaints(Rule(reads=("payments_pkey",)), plan)) == 1

    def test_a_sort_and_rows_that_nobody_asked_for(self, planner: Planner, rows: SeededRows) -> None:
        sql = "SELECT id FROM payments WHERE merchant_id = :id::uuid ORDER BY updated_at LIMIT 5"
        plan = planner.plan(Statement(sql), {"id": MERCHANT})
        rule = Rule(reads=("payments_by_merchant",), every_month=PARTITIONED, rows_max={"payments": 5 + PARTITIONS})
        assert len(complaints(rule, plan)) == 2
