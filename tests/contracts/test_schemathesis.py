"""schemathesis finds no answer that contradicts the OpenAPI document, and no 5xx.

A merchant is refused what operators may do, so an administrator tries that.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from api.handler import ApiHandler
from infra.sam_template.template import read_template
from local.bridge.http import HttpFront
from local.lambda_host.model import InvocationResult
from local.settings import PROJECT
from local.testkit.api import MERCHANT_KEY, ORDER, api_services, demo_merchant_id, register_demo_merchants
from local.testkit.ledger import MoneyEvents, new_correction
from local.testkit.payments import authorized_payment, captured_payment
from local.testkit.webhooks import ended_delivery
from paybridge.access.register import register_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.ledger.post import post_events
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import OperationOrder
from paybridge.payments.start_attempts import start_attempts
from tests.support.dead_letters import record_dead
from tests.support.scripted_gateway import RecordingGateway, engine_services

COMMAND = PROJECT / ".venv-openapi/bin/schemathesis"
# For each operation, on top of those that the document's examples and limits lead to.
EXAMPLES_MAX = 25
# No schema can say how many decimal places the amount in a currency has, or which cursor belongs to which filters.
INEXPRESSIBLE = "positive_data_acceptance"
RUN_SECONDS_MAX = 300
ADMIN_KEY = "secret-admin-key"
OPERATIONS = "^/api/v1/ops/"
# How many operations each run tests at least. Fewer mean that a filter matches nothing any more.
OPERATIONS_MIN = {MERCHANT_KEY: 38, ADMIN_KEY: 15}
# Ids that schemathesis finds in no list that a run reads.
DICTIONARIES = """
[dictionaries]
payments.values = {payments}
deliveries.values = {deliveries}
payouts.values = {payouts}
corrections.values = {corrections}
breaks.values = {breaks}
months.values = ["2024-01"]
[parameters]
payment_id = {{ dictionary = "payments", probability = 0.6 }}
delivery_id = {{ dictionary = "deliveries", probability = 0.7 }}
payout_id = {{ dictionary = "payouts", probability = 0.7 }}
correction_id = {{ dictionary = "corrections", probability = 0.7 }}
break_id = {{ dictionary = "breaks", probability = 0.7 }}
month = {{ dictionary = "months", probability = 0.7 }}
"""
# A month that waits for its archive, the audit of a night, and breaks of a day that was compared. The runs share a
# database.
DAY_ID = "00000000-0000-4000-9000-000000000001"
_MONTH = Statement("""
    INSERT INTO archive_months (month, state, reason, checked_at, created_at, updated_at)
    VALUES ('2024-01-01', 'waiting', '1 unsettled payments', now(), now(), now())
    ON CONFLICT DO NOTHING
""")
_NIGHT = Statement("""
    INSERT INTO outbox_audits (id, begin_at, end_at, grace_seconds, created_at, finished_at)
    VALUES ('00000000-0000-7000-9000-000000000001', '2024-01-01', '2024-01-02', 60, now(), now())
    ON CONFLICT DO NOTHING
""")
_DAY = Statement("""
    INSERT INTO reconciliations (id, day, state, began_at, gateways, phase, difference, unexplained, actor, created_at,
                                 finished_at)
    VALUES (:id::uuid, '2024-01-01', 'finished', now(), ARRAY['default'], 'close', '{}', '{}', 'nightly', now(), now())
    ON CONFLICT DO NOTHING
""")
_BREAK = Statement("""
    INSERT INTO reconciliation_breaks (id, reconciliation_id, gateway, identity, pass, type, leg, state, effects,
                                       found_at, changed_at)
    VALUES (:id::uuid, :day::uuid, 'default', :day || '|default|' || :id, 1, 'missing_here', 'gateway', 'open',
            '{"EUR": "100"}', now(), now())
""")
# How many payments of each kind there are before a run.
SEEDED = 4
HOLD_ALL = {"rules": [{"id": "all", "action": "review", "score": 5, "when": {}}]}
# Says that a request got no further than the caller or the id.
TURNED_AWAY = {401, 403, 404}


class HandlerInvoker:
    """Invokes the API's handler in a thread that has an event loop, as Lambda does."""

    def __init__(self, handler: ApiHandler) -> None:
        self._handler = handler
        self._thread = ThreadPoolExecutor(1, initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop()))

    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        """Return what the handler answers. The one function that is invoked here is the API's."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, payload)

    async def close(self) -> None:
        """End the thread and its loop."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: asyncio.get_event_loop().close())
        self._thread.shutdown()

    def _answer(self, payload: bytes) -> InvocationResult:
        answer: dict[str, Any] = self._handler(json.loads(payload), None)
        return InvocationResult(json.dumps(answer).encode())


@pytest.fixture
async def api_url(database_address: DatabaseAddress) -> AsyncIterator[str]:
    """Serve the API behind the local stack's HTTP front. Nothing else runs, so no webhook leaves this machine."""
    with closing(Database(database_address)) as database:
        register_demo_merchants(database)
        register_merchant(database, name="Admin", api_key=ADMIN_KEY, role="admin")
        for number in range(3):
            record_dead(DeadLetterServices(database, SystemClock(), Uuid7Ids()), reason=f"fault {number}")
        logger = Logger(service="api", level="CRITICAL")
        invoker = HandlerInvoker(ApiHandler(create_app(api_services(database, waits_max=0), logger), logger))
        functions = read_template(PROJECT / "template.yaml", read_ssm=lambda _: "").functions
        async with HttpFront([functions["ApiFunction"]], invoker) as front:
            yield f"http://127.0.0.1:{front.port}"
        await invoker.close()


@pytest.fixture
async def dictionaries(api_url: str, database: Database) -> str:
    """Make payments that can be captured, refunded, approved and rejected, with refunds and deliveries.

    Operators have a month, an audit and breaks to look at. Return settings with their ids.
    """
    merchant_id = demo_merchant_id(database)
    payment_ids: list[uuid.UUID] = []
    delivery_ids: list[uuid.UUID] = []
    payout_ids: list[str] = []
    break_ids = [str(uuid.uuid4()) for _ in range(SEEDED)]
    database.run(_MONTH)
    database.run(_NIGHT)
    database.run(_DAY, id=DAY_ID)
    for break_id in break_ids:
        database.run(_BREAK, id=break_id, day=DAY_ID)
    async with httpx.AsyncClient(
        base_url=f"{api_url}/api/v1", headers={"X-API-Key": MERCHANT_KEY}, timeout=30
    ) as merchant:
        (await merchant.put("/fraud-rules", json=HOLD_ALL)).raise_for_status()

        async def post(path: str, members: Any) -> Any:
            headers = {"Idempotency-Key": str(uuid.uuid4())}
            return (await merchant.post(path, json=members, headers=headers)).raise_for_status().json()

        for _ in range(SEEDED):
            authorized, captured = (make(database, merchant_id) for make in (authorized_payment, captured_payment))
            await post(f"/payments/{captured}/refunds", {"amount": "1.00"})
            held = uuid.UUID((await post("/payments", ORDER))["payment_id"])
            start_attempts(engine_services(database, RecordingGateway()), [OperationOrder(held, 1)], GatewayWatch())
            payment_ids += [authorized, captured, held]
            delivery_ids.append(ended_delivery(database, merchant_id, held))
            post_events(database, [MoneyEvents(merchant_id).succeeded("2.00")])
            payout_ids.append((await post("/payouts", {"amount": "1.00", "currency": "EUR"}))["payout_id"])
    return DICTIONARIES.format(
        payments=[*map(str, payment_ids)],
        deliveries=[*map(str, delivery_ids)],
        payouts=payout_ids,
        corrections=[str(new_correction(database, merchant_id)) for _ in range(SEEDED)],
        breaks=break_ids,
    )


@pytest.mark.slow
@pytest.mark.timeout(RUN_SECONDS_MAX)
@pytest.mark.parametrize(
    ("api_key", "paths"),
    [(MERCHANT_KEY, ("--exclude-path-regex", OPERATIONS)), (ADMIN_KEY, ("--include-path-regex", OPERATIONS))],
)
async def test_no_answer_contradicts_the_document(
    openapi_environment: None, api_url: str, dictionaries: str, tmp_path: Path, api_key: str, paths: tuple[str, str]
) -> None:
    har = tmp_path / "run.har"
    (tmp_path / "schemathesis.toml").write_text(dictionaries)
    command = [
        *(str(COMMAND), "run", f"{api_url}/openapi.json", "--url", api_url, "--header", f"X-API-Key: {api_key}"),
        *(*paths, "--report", "har", "--report-har-path", str(har)),
        *("--checks", "all", "--exclude-checks", INEXPRESSIBLE, "--max-examples", str(EXAMPLES_MAX)),
        *("--seed", "1", "--no-color", "--warnings", "off"),
    ]
    environment = {**os.environ, "HOME": str(tmp_path), "NO_PROXY": "*", "SCHEMATHESIS_TELEMETRY": "0"}
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [tested] = re.findall(r"Tested: (\d+)", done.stdout)
    assert int(tested) >= OPERATIONS_MIN[api_key], done.stdout
    document = (await asyncio.to_thread(httpx.get, f"{api_url}/openapi.json", trust_env=False)).json()
    answered = statuses_by_operation(document["paths"], json.loads(har.read_bytes())["log"]["entries"])
    assert len(answered) == int(tested)
    assert {operation for operation, statuses in answered.items() if not statuses.keys() - TURNED_AWAY} == set()


def statuses_by_operation(paths: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> dict[str, Counter[int]]:
    """Return how often each operation was answered with which status, of those that were asked for."""
    # A path without parameters comes before one with: `/events/stream` would also be an `/events/{event_id}`.
    templates = [(path, re.sub(r"\{\w+\}", "[^/]+", path)) for path in sorted(paths, key=lambda path: "{" in path)]
    found: dict[str, Counter[int]] = {}
    for entry in entries:
        request = entry["request"]
        sent = httpx.URL(request["url"]).raw_path.decode().partition("?")[0]
        path = next((path for path, pattern in templates if re.fullmatch(pattern, sent)), "")
        if request["method"].lower() in paths.get(path, {}):
            found.setdefault(f"{request['method']} {path}", Counter())[entry["response"]["status"]] += 1
    return found
