"""The permission table, tried: every route as every role, as the owner of the resource and as another merchant."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from fastapi.routing import APIRoute

from api.app import create_app
from infra.permissions_page import PAGE, with_table
from local.testkit.api import MERCHANT_KEY, OTHER_KEY, Answer, ApiClient, api_services, demo_merchant_id
from local.testkit.ledger import MoneyEvents, new_correction
from local.testkit.payments import authorized_payment, captured_payment, new_payment, operation_rows, outbox_rows
from local.testkit.webhooks import ended_delivery
from paybridge.access.create_key import KeyCreator, KeyOrder, create_key
from paybridge.access.domain.caller import Role
from paybridge.access.permissions import PERMISSIONS, Permission
from paybridge.access.register import register_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.ledger.list_rebuilds import list_rebuilds
from paybridge.ledger.post import post_events
from paybridge.ledger.rebuild import start_rebuild
from paybridge.replay.domain import ReplayOrder
from paybridge.replay.start import start_replay
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.recovery import Recovery
from paybridge.webhooks.read_endpoints import list_endpoints
from paybridge.webhooks.recover import start_recovery
from paybridge.wiring.rebuilds import services_over as rebuild_services_over
from paybridge.wiring.replay import services_over
from tests.support.analytics import NOON, World
from tests.support.breaks import new_break, new_reconciliation
from tests.support.dead_letters import record_dead

pytestmark = pytest.mark.integration

STAFF_KEYS = {role: f"secret-{role}-key" for role in Role if role is not Role.MERCHANT}
GUARDED = {route: permission for route, permission in PERMISSIONS.items() if not permission.is_public}
# The event of a journal that is corrected.
CORRECTED = "01a1fd50-1a0a-70e7-9753-804a71418b4e"
# What a request needs besides its path to reach the resource.
BODIES: Mapping[str, Any] = {
    "POST /api/v1/webhook-endpoints/{endpoint_id}/recover": {"since": "2026-01-01T00:00:00Z"},
    "POST /api/v1/webhook-endpoints": {"url": "http://127.0.0.1:1/x", "events": ["*"]},
    "POST /api/v1/payments": {"amount": "1.00", "currency": "EUR"},
    "POST /api/v1/payouts": {"amount": "1.00", "currency": "EUR"},
    "POST /api/v1/ops/payouts/{payout_id}/settle": {"outcome": "paid"},
    "PUT /api/v1/fraud-rules": {"rules": []},
    "POST /api/v1/ops/dead-letters/redrive": {"queue": "webhooks", "dry_run": True},
    "POST /api/v1/ops/dead-letters/{dead_letter_id}/discard": {"note": "tried"},
    "POST /api/v1/ops/reconciliations": {"date": "2026-01-01"},
    "POST /api/v1/ops/reconciliations/statements": "id,operation_id,kind,amount,currency,created_at\n",
    **{
        f"POST /api/v1/ops/reconciliation-breaks/{{break_id}}/{what}": {"note": "tried"}
        for what in ("resolve", "explain", "void")
    },
    "POST /api/v1/ops/replays": {"consumer": "webhooks", "from": "2026-01-01T00:00:00Z", "dry_run": True},
    "POST /api/v1/ops/api-keys": {"role": "support"},
    "POST /api/v1/ops/merchants": {"name": "Acme"},
    "POST /api/v1/ops/ledger/corrections": {"event_id": CORRECTED, "reason": "tried"},
}


QUERIES: Mapping[str, dict[str, str]] = {
    "POST /api/v1/ops/reconciliations/statements": {"date": "2026-01-01", "gateway": "default"},
}


# There is a limited number of open replays, and of endpoints of a merchant.
_ARCHIVE_MONTH = Statement("""
    INSERT INTO archive_months (month, state, checked_at, created_at, updated_at)
    VALUES ('2024-03-01', 'archived', now(), now(), now())
    ON CONFLICT (month) DO UPDATE SET state = 'archived', restored_until = NULL
""")
# No rebuild begins while a month is away.
_RESTORE_MONTH = Statement("UPDATE archive_months SET state = 'restored', restored_until = now()")
_AUDIT = Statement("""
    INSERT INTO outbox_audits (id, begin_at, end_at, grace_seconds, created_at, finished_at)
    VALUES ('00000000-0000-0000-0000-000000000001', now() - interval '1 day', now(), 300, now(), now())
    ON CONFLICT DO NOTHING
""")
_DELETE_REPLAYS = Statement("TRUNCATE replays")
_DELETE_ENDPOINTS = Statement("UPDATE webhook_endpoints SET deleted_at = now() WHERE deleted_at IS NULL")


def now() -> datetime:
    return datetime.now(UTC)


def figures_of(client: ApiClient, database: Database) -> tuple[str, dict[str, str]]:
    """The merchant that a day's figures are of, and that day."""
    world = World(database, demo_merchant_id(database))
    world.write(*world.payment())
    world.update()
    day = NOON.date().isoformat()
    return str(world.merchant_id), {"from": day, "to": day}


def refund_of(client: ApiClient, database: Database) -> str:
    payment_id = captured_payment(database, demo_merchant_id(database))
    refund_id: str = client.order(f"{payment_id}/refunds", {"amount": "1.00"}).json()["refund_id"]
    assert [row for row in operation_rows(database, payment_id) if str(row["id"]) == refund_id]
    return refund_id


def key_of(client: ApiClient, database: Database) -> str:
    order = KeyOrder(role=Role.MERCHANT, merchant_id=demo_merchant_id(database))
    return str(create_key(database, SystemClock(), Uuid7Ids(), order, created_by=KeyCreator("test")).key.id)


def dry_run_of(client: ApiClient, database: Database) -> str:
    times = {"from": (now() - timedelta(days=1)).isoformat(), "to": now().isoformat()}
    answer = client.request("POST", "/api/v1/fraud-rules/dry-run", body=json.dumps({"rules": [], **times}).encode())
    dry_run_id: str = answer.json()["dry_run_id"]
    return dry_run_id


def dead_letter_of(client: ApiClient, database: Database) -> str:
    return str(record_dead(DeadLetterServices(database, SystemClock(), Uuid7Ids())).id)


def replay_of(client: ApiClient, database: Database) -> str:
    database.run(_DELETE_REPLAYS)
    order = ReplayOrder(
        consumer="webhooks",
        begin_at=now() - timedelta(days=1),
        end_at=now(),
        types=(),
        rate_per_second=1.0,
        is_dry_run=False,
        actor="tests",
    )
    return str(start_replay(services_over(database, SystemClock(), Uuid7Ids()), order).id)


def month_of(_: ApiClient, database: Database) -> str:
    database.run(_ARCHIVE_MONTH)
    return "2024-03"


def delivery_of(_: ApiClient, database: Database) -> str:
    merchant_id = demo_merchant_id(database)
    return str(ended_delivery(database, merchant_id, new_payment(database, merchant_id)))


def endpoint_of(client: ApiClient, database: Database) -> str:
    order = EndpointOrder(url="http://127.0.0.1:1/x", events=("*",))
    merchant_id = demo_merchant_id(database)
    database.run(_DELETE_ENDPOINTS)
    created = create_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, order)
    assert created is not None
    return str(created.endpoint.id)


def recovery_of(_: ApiClient, database: Database) -> str:
    """A recovery of the endpoint that the path names."""
    merchant_id = demo_merchant_id(database)
    [endpoint] = list_endpoints(database, merchant_id, cursor=None, limit=1).endpoints
    recovery = start_recovery(database, SystemClock(), Uuid7Ids(), merchant_id, endpoint.id, now())
    assert isinstance(recovery, Recovery)
    return str(recovery.id)


def money_of(_: ApiClient, database: Database) -> str:
    """Money that is available, and the payment that brought it."""
    payment_id = uuid.uuid4()
    post_events(database, [MoneyEvents(demo_merchant_id(database)).succeeded("5.00", payment_id)])
    return str(payment_id)


def account_of(client: ApiClient, database: Database) -> str:
    money_of(client, database)
    return f"{demo_merchant_id(database)}/available/EUR/2"


def payout_of(client: ApiClient, database: Database) -> str:
    money_of(client, database)
    payout_id: str = call(client, "POST /api/v1/payouts", "/api/v1/payouts", MERCHANT_KEY).json()["payout_id"]
    return payout_id


def event_of(client: ApiClient, database: Database) -> str:
    payment_id = uuid.UUID(client.create().json()["payment_id"])
    return str(outbox_rows(database, payment_id)[0]["id"])


def rebuild_of(_: ApiClient, database: Database) -> str:
    """The newest rebuild, because only a few may run at once."""
    database.run(_RESTORE_MONTH)
    found = list_rebuilds(database, cursor=None, limit=1).rebuilds
    services = rebuild_services_over(database, SystemClock(), Uuid7Ids())
    return str((found or [start_rebuild(services, actor="test")])[0].id)


# A resource of the demo merchant for each parameter of a path. A new parameter needs one.
RESOURCES: Mapping[str, Callable[[ApiClient, Database], str]] = {
    "payment_id": lambda _, database: str(authorized_payment(database, demo_merchant_id(database))),
    "refund_id": refund_of,
    "key_id": key_of,
    "dry_run_id": dry_run_of,
    "dead_letter_id": dead_letter_of,
    "event_id": event_of,
    "endpoint_id": endpoint_of,
    "delivery_id": delivery_of,
    "replay_id": replay_of,
    "month": month_of,
    "reconciliation_id": lambda _, database: str(new_reconciliation(database).id),
    "break_id": lambda _, database: str(new_break(database)),
    "recovery_id": recovery_of,
    "rebuild_id": rebuild_of,
    "correction_id": lambda _, database: str(new_correction(database, demo_merchant_id(database))),
    # The live one, which is never dropped.
    "book": lambda *_: "1",
    "merchant_id": lambda _, database: str(demo_merchant_id(database)),
    "payout_id": payout_of,
}


def payment_event_of(client: ApiClient, database: Database) -> tuple[str, dict[str, str]]:
    """An event, and the query that finds it: the feed begins with the oldest events."""
    payment_id = client.create().json()["payment_id"]
    return str(outbox_rows(database, uuid.UUID(payment_id))[0]["id"]), {"payment_id": payment_id}


# What the demo merchant has in each list that a merchant may read. A new list needs one.
LISTED: Mapping[str, Callable[[ApiClient, Database], str | tuple[str, dict[str, str]]]] = {
    "GET /api/v1/payments": RESOURCES["payment_id"],
    "GET /api/v1/refunds": RESOURCES["refund_id"],
    "GET /api/v1/payouts": payout_of,
    "GET /api/v1/ledger/accounts": account_of,
    "GET /api/v1/ledger/entries": money_of,
    "GET /api/v1/events": payment_event_of,
    "GET /api/v1/events/stream": payment_event_of,
    "GET /api/v1/api-keys": RESOURCES["key_id"],
    "GET /api/v1/webhook-endpoints": RESOURCES["endpoint_id"],
    "GET /api/v1/analytics/daily": figures_of,
    "GET /api/v1/analytics/monthly": figures_of,
}
# Rules and balances belong to the caller and have no ids.
NOT_LISTS = {"GET /api/v1/fraud-rules", "GET /api/v1/balances", "GET /metrics"}


@pytest.fixture(autouse=True)
def _quick_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merchant without events would wait for the first one."""
    monkeypatch.setattr("api.routes.events.streams.WAIT_SECONDS_MAX", 0.05)


@pytest.fixture(autouse=True)
def _staff(database: Database) -> None:
    for role, api_key in STAFF_KEYS.items():
        register_merchant(database, name=str(role), api_key=api_key, role=role)


@pytest.fixture(autouse=True)
def _night(database: Database) -> None:
    """The last audit is that of a night."""
    database.run(_AUDIT)


@pytest.fixture(autouse=True)
def _money(client: ApiClient, database: Database) -> None:
    """A payout needs what it is made of, and a correction a journal."""
    money_of(client, database)
    merchant = MoneyEvents(demo_merchant_id(database))
    post_events(database, [replace(merchant.succeeded("1.00"), id=uuid.UUID(CORRECTED))])


def call(client: ApiClient, route: str, path: str, api_key: str) -> Answer:
    method = route.partition(" ")[0]
    body = BODIES.get(route, {})
    sent = body if isinstance(body, str) else json.dumps(body)
    raw = None if method in {"GET", "DELETE"} else sent.encode()
    headers = {"idempotency-key": str(uuid.uuid4())} if method == "POST" else {}
    return client.request(method, path, headers=headers, query=QUERIES.get(route), body=raw, api_key=api_key)


def path_of(route: str, client: ApiClient, database: Database) -> str:
    """The path of the route to resources of the demo merchant."""
    path = route.partition(" ")[2]
    return re.sub(r"\{(\w+)\}", lambda match: RESOURCES[match.group(1)](client, database), path)


def is_refused(answer: Answer) -> bool:
    return answer.status == 403 and answer.json()["code"] == "role_not_permitted"


@pytest.mark.parametrize(("route", "permission"), GUARDED.items(), ids=GUARDED)
class TestMatrix:
    def test_without_a_key_nothing_is_answered(
        self, client: ApiClient, database: Database, route: str, permission: Permission
    ) -> None:
        if not permission.is_public_locally:
            assert call(client, route, path_of(route, client, database), "").status == 401

    @pytest.mark.parametrize("role", STAFF_KEYS)
    def test_staff_may_what_the_table_says(
        self, client: ApiClient, database: Database, route: str, permission: Permission, role: Role
    ) -> None:
        answer = call(client, route, path_of(route, client, database), STAFF_KEYS[role])
        allowed = role in permission.roles or permission.is_public_locally
        assert is_refused(answer) != allowed, answer.body
        if allowed:
            # Staff finds what belongs to any merchant. 409: what it asks for does not fit the state of the resource.
            assert answer.status < 300 or answer.status == 409, answer.body

    def test_the_owner_may_what_the_table_says(
        self, client: ApiClient, database: Database, route: str, permission: Permission
    ) -> None:
        answer = call(client, route, path_of(route, client, database), MERCHANT_KEY)
        allowed = Role.MERCHANT in permission.roles or permission.is_public_locally
        assert is_refused(answer) != allowed, answer.body
        if allowed and route != "POST /api/v1/fraud-rules/dry-run":
            assert answer.status < 300 or answer.status == 409, answer.body

    def test_another_merchant_finds_nothing(
        self, client: ApiClient, database: Database, route: str, permission: Permission
    ) -> None:
        path = path_of(route, client, database)
        answer = call(client, route, path, OTHER_KEY)
        if Role.MERCHANT not in permission.roles:
            assert is_refused(answer) != permission.is_public_locally
        elif "{" in route:
            assert answer.status == 404, answer.body
        else:
            assert not is_refused(answer)


LISTS = {
    route: permission
    for route, permission in GUARDED.items()
    if route.startswith("GET ") and "{" not in route and Role.MERCHANT in permission.roles and route not in NOT_LISTS
}


@pytest.mark.parametrize("route", LISTS)
def test_a_list_holds_what_belongs_to_the_caller(client: ApiClient, database: Database, route: str) -> None:
    made = LISTED[route](client, database)
    listed, query = made if isinstance(made, tuple) else (made, {})
    path = route.partition(" ")[2]
    assert listed in client.get(path, query=query, api_key=MERCHANT_KEY).body.decode()
    assert listed not in client.get(path, query=query, api_key=OTHER_KEY).body.decode()


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, PERMISSIONS), "run `make permissions-docs`"


def test_every_row_has_a_route(database: Database) -> None:
    app = create_app(api_services(database), Logger(service="api", level="CRITICAL"))
    served = {
        f"{method} {route.path}" for route in app.routes if isinstance(route, APIRoute) for method in route.methods
    }
    assert served == set(PERMISSIONS)
