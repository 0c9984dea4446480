"""Payments at the simulated gateway, to be reconciled: the real engine, the gateway's own log, and its statement."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import orjson

from local.testkit.payments import MovableClock, control_gateway, new_merchant, new_payment, rows
from paybridge.archive.away import ArchivedMonths
from paybridge.core.clock import SystemClock, ahead
from paybridge.core.events import FIND_LATE_CHANGE, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement, Transaction
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import Fault, Unknown
from paybridge.payments.domain.statement import StatementLine, StatementPage, StatementUnavailable
from paybridge.payments.find_late_changes import find_late_changes
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.ports import StatementSource
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.reconciliation.domain.breaks import StoredBreak
from paybridge.reconciliation.domain.run import NO_ID, Run
from paybridge.reconciliation.log_end import log_end
from paybridge.reconciliation.ports import PostedOperation, ReconciliationServices
from paybridge.reconciliation.reconcile import Progress, find_reconciliation, start_reconciliation, work_on
from paybridge.reconciliation.store import breaks
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder
from paybridge.runners.consumer import order_of

# Longer than a busy machine takes for an answer.
PATIENT_SECONDS = 30.0
# Only for requests that are never answered.
IMPATIENT_SECONDS = 0.5
GRACE = timedelta(minutes=15)
LATE_AFTER = timedelta(hours=4)
_COMMANDS = """
    SELECT json_build_object('id', id, 'body', body) FROM outbox
    WHERE type LIKE 'command.%' AND merchant_id = :merchant_id::uuid ORDER BY id
"""

Edit = Callable[[list[StatementLine]], list[StatementLine]]


class EditedStatement:
    """A gateway's statement, changed on its way. The lines of earlier tests are left out."""

    def __init__(self, source: StatementSource, edit: Edit = list) -> None:
        self.edit = edit
        self.pages = 0
        self.earlier: set[str] = set()
        self._source = source

    @property
    def covers_holds(self) -> bool:
        return self._source.covers_holds

    async def read_statement(
        self, begin: datetime, end: datetime, after: str | None
    ) -> StatementPage | StatementUnavailable:
        self.pages += 1
        page = await self._source.read_statement(begin, end, after)
        if isinstance(page, StatementUnavailable):
            return page
        return StatementPage(self.edit([each for each in page.lines if each.id not in self.earlier]), page.after)

    async def leave_out_what_is_there(self, now: datetime) -> None:
        """Let the statement begin empty, at a gateway that other tests have used."""
        after: str | None = None
        while True:
            page = await self._source.read_statement(now - timedelta(days=2), now + timedelta(days=3), after)
            assert isinstance(page, StatementPage)
            self.earlier |= {each.id for each in page.lines}
            after = page.after
            if after is None:
                return


class OwnPostings:
    """A ledger that has posted what it is told, in place of the ledger's tables."""

    def __init__(self) -> None:
        self.entries: dict[uuid.UUID, dict[str, int]] = {}

    def posted(
        self, transaction: Transaction, operations: Sequence[PostedOperation]
    ) -> Mapping[uuid.UUID, Mapping[str, int]]:
        return {each.id: self.entries[each.id] for each in operations if each.id in self.entries}


@dataclass
class Shop:
    """A merchant, the engine, and reconciliation over one database and one simulated gateway."""

    database: Database
    gateway_url: str
    clock: MovableClock = field(default_factory=MovableClock)

    def __post_init__(self) -> None:
        self.merchant_id = new_merchant(self.database)
        self.gateway = HttpGateway(self.gateway_url, PATIENT_SECONDS)
        self._impatient_gateway = HttpGateway(self.gateway_url, IMPATIENT_SECONDS)
        self.statement = EditedStatement(self.gateway)
        self.postings = OwnPostings()
        self.engine = EngineServices(
            database=self.database,
            gateways={"default": self.gateway},
            clock=self.clock,
            ids=Uuid7Ids(),
            schedule=Schedule(retry_delays=(1, 2), pending_delays=(1, 2)),
            lease_seconds=5.0,
            late_charge_ages_seconds=(60, 600),
            circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
            authorization_seconds=604800,
        )
        self.services = ReconciliationServices(
            database=self.database,
            clock=self.clock,
            ids=Uuid7Ids(),
            sources={"default": self.statement},
            postings=None,
            old_months=ArchivedMonths(),
            grace=GRACE,
            late_after=LATE_AFTER,
            on_end=log_end,
        )
        self._ran: set[str] = set()

    def put_gateway_ahead(self, seconds: float) -> None:
        """Let the gateway's clock be ahead of what the shop's was at first."""
        control_gateway(self.gateway_url, ahead_seconds=ahead().total_seconds() + seconds)

    async def pay(self, payment_method: str = "tok_success", **order: Any) -> uuid.UUID:
        """A payment of 100.00 EUR whose first attempt was made."""
        values = {"amount_minor": 10_000, "currency": "EUR", "payment_method": payment_method, **order}
        payment_id = new_payment(self.database, self.merchant_id, **values)
        await run_operations(self.engine, [OperationOrder(payment_id, 1)])
        return payment_id

    @contextmanager
    def impatience(self) -> Iterator[None]:
        """Let the engine wait for a moment only within the block, where the gateway does not answer."""
        patient = self.engine
        self.engine = replace(patient, gateways={"default": self._impatient_gateway})
        yield
        self.engine = patient

    async def pay_without_an_answer(self, payment_method: str = "tok_success") -> uuid.UUID:
        """A payment that the gateway has decided. The answer was lost, and so was that of the look-up after it."""
        control_gateway(self.gateway_url, faults=["lost_answer"])
        self._impatient_gateway.find = no_answer  # type: ignore[method-assign, assignment]
        with self.impatience():
            return await self.pay(payment_method)

    async def refund(self, payment_id: uuid.UUID, amount: str | None = None) -> uuid.UUID:
        """A refund that was made; its operation."""
        answer = create_refund(
            self.database,
            SystemClock(),
            Uuid7Ids(),
            keyed=self._keyed(refund_operation(payment_id)),
            payment_id=payment_id,
            order=RefundOrder(amount=amount),
            correlation_id="corr",
        )
        assert isinstance(answer, Answered)
        await self.run_commands()
        return answer.resource_id

    async def capture(self, payment_id: uuid.UUID, amount: str | None = None) -> None:
        capture_payment(
            self.database,
            SystemClock(),
            Uuid7Ids(),
            keyed=self._keyed(capture_operation(payment_id)),
            payment_id=payment_id,
            amount=amount,
            correlation_id="corr",
        )
        await self.run_commands()

    async def run_commands(self) -> int:
        """Run the commands in the outbox that were not run yet, as the consumer does."""
        found = rows(self.database, _COMMANDS, merchant_id=self.merchant_id)
        fresh = [command for command in found if command["id"] not in self._ran]
        self._ran |= {command["id"] for command in fresh}
        events = [parse_envelope(orjson.loads(command["body"])) for command in fresh]
        ended = [uuid.UUID(each.data["operation_id"]) for each in events if each.type == FIND_LATE_CHANGE]
        await run_operations(self.engine, [order_of(each) for each in events if each.type != FIND_LATE_CHANGE])
        await find_late_changes(self.engine, ended)
        return len(fresh)

    async def charge_elsewhere(self, **changes: Any) -> dict[str, Any]:
        """A charge at the gateway that is none of ours, unless the changes say so."""
        order = {
            "reference": f"elsewhere-{uuid.uuid4()}",
            "amount_minor": 4_200,
            "currency": "EUR",
            "payment_method": "tok_success",
            **changes,
        }
        kind = order.pop("kind", "charges")
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.post(
                f"{self.gateway_url}/{kind}", json=order, headers={"Idempotency-Key": str(uuid.uuid4())}
            )
        return dict(answer.raise_for_status().json())

    async def reconcile(self, *, settles: bool = True, day: date | None = None) -> Run:
        """Reconcile a day, or today, to the end; the engine goes on meanwhile, unless `settles` is false."""
        run = start_reconciliation(self.services, day or self.clock.now().date(), "a test")
        for _ in range(200):
            progress = await work_on(self.services, run.id, 5.0)
            if progress is Progress.ENDED:
                break
            if progress is Progress.WAITS and settles and await self.run_commands():
                continue
            self.clock.move(31)
        found = find_reconciliation(self.services, run.id)
        assert found is not None
        return found[0]

    def midnight(self) -> datetime:
        """The start of today."""
        return self.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)

    async def lines(self) -> list[StatementLine]:
        """The gateway's own lines of today."""
        midnight = self.midnight()
        page = await self.statement.read_statement(midnight, midnight + timedelta(days=1), None)
        assert isinstance(page, StatementPage)
        return page.lines

    def breaks(self, run: Run) -> list[StoredBreak]:
        return breaks.list_breaks(self.database, run.id, NO_ID, 1000)

    def change(self, sql: str, **parameters: Any) -> None:
        """Change our own side behind the back of the code."""
        self.database.run(Statement(sql), **parameters)

    def _keyed(self, operation: str) -> Keyed:
        return Keyed(self.merchant_id, operation, IdempotentRequest(f"key-{uuid.uuid4()}", bytes(32)))

    async def close(self) -> None:
        await self.gateway.close()
        await self._impatient_gateway.close()


async def no_answer(_: object) -> Unknown:
    """Answer look-ups as if the gateway were down."""
    return Unknown(Fault.NO_ANSWER, "a test")
