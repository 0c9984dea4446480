"""What the code emits, what the files say of it, and what the OpenAPI document says are the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import ValidationError  # type: ignore[import-untyped]

from paybridge.core.event_schemas import read_schema
from paybridge.core.events import OUTCOME_TYPES, REFUND_CREATED, Event
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.facts import (
    DUPLICATE,
    LATE,
    PARTIAL_APPROVAL,
    UnsettledCharge,
    charge_returned,
    charge_taken,
    operation_fact,
)
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus, first_operation
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.refund import REFUND_STATUSES, RefundStatus, refund_event
from tests.support.event_schemas import check_event
from tests.support.openapi import Contract

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.integers(0, 2**27).map(lambda seconds: START + timedelta(seconds=seconds, microseconds=seconds))
TEXTS = st.none() | st.text(max_size=20)
METADATA = st.none() | st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3)
AMOUNT_MINOR = 10050
MONEY_KINDS = [Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID]
SCREENINGS = st.none() | st.fixed_dictionaries({
    "decision": st.sampled_from(["allow", "review", "block"]),
    "score": st.integers(0, 1000),
    "rules": st.lists(st.text(max_size=20), max_size=3),
})  # fmt: skip
# What each state says beside its name; `pending` is that of `payment.created`.
STATES: dict[Status, dict[str, Any]] = {
    Status.PENDING: {},
    Status.PROCESSING: {},
    Status.REVIEW: {},
    Status.REQUIRES_CAPTURE: {
        "capture": "manual",
        "authorized_minor": AMOUNT_MINOR,
        "capture_before": datetime(2026, 2, 1, tzinfo=UTC),
    },
    Status.SUCCEEDED: {"captured_minor": AMOUNT_MINOR},
    Status.FAILED: {"failure_code": "card_declined", "failure_message": "The card was declined."},
    Status.CANCELED: {},
    Status.PARTIALLY_REFUNDED: {"captured_minor": AMOUNT_MINOR, "refunded_minor": 50},
    Status.REFUNDED: {"captured_minor": AMOUNT_MINOR, "refunded_minor": AMOUNT_MINOR},
}


@st.composite
def payments_of(draw: st.DrawFn, status: Status) -> Payment:
    created_at = draw(TIMES)
    payment = Payment(
        id=draw(st.uuids()),
        merchant_id=draw(st.uuids()),
        status=status,
        amount_minor=AMOUNT_MINOR,
        currency="RUB",
        currency_places=draw(st.integers(0, 4)),
        created_at=created_at,
        updated_at=created_at + timedelta(seconds=draw(st.integers(0, 10**6))),
        correlation_id="c",
        description=draw(TEXTS),
        metadata=draw(METADATA),
        webhook_url=draw(TEXTS),
        customer=draw(TEXTS),
        payment_method=draw(TEXTS),
        screening=draw(SCREENINGS),
        last_sequence=draw(st.integers(1, 2**31 - 1)),
    )
    return replace(payment, **STATES[status])


@st.composite
def payment_events(draw: st.DrawFn) -> Event:
    status = draw(st.sampled_from(Status))
    payment = draw(payments_of(status))
    if status is Status.REQUIRES_CAPTURE and draw(st.booleans()):
        payment = replace(
            payment,
            pending_operation=draw(st.sampled_from(["capture", "cancel"])),
            pending_operation_id=draw(st.uuids()),
            pending_operation_since=payment.created_at,
        )
    type_ = "payment.created" if status is Status.PENDING else f"payment.{status}"
    operation = draw(st.none() | operations(payment))
    fact = None if operation is None else operation_fact(operation, payment)
    return payment_event(UUID(int=1), type_, payment, payment.updated_at, fact)


@st.composite
def operations(draw: st.DrawFn, payment: Payment) -> Operation:
    first = first_operation(payment, "default", payment.created_at)
    return replace(first, id=draw(st.uuids()), kind=draw(st.sampled_from(MONEY_KINDS)))


@st.composite
def charge_events(draw: st.DrawFn) -> Event:
    payment = replace(draw(payments_of(Status.FAILED)), currency_places=draw(st.integers(0, 4)))
    reason = draw(st.sampled_from([PARTIAL_APPROVAL, LATE, DUPLICATE]))
    charge = UnsettledCharge(payment, draw(st.uuids()), draw(st.integers(1, 2**63 - 1)), reason)
    if draw(st.booleans()):
        return charge_returned(UUID(int=1), charge, payment.updated_at)
    return charge_taken(UUID(int=1), charge, draw(st.integers(1, 9)), payment.updated_at)


@st.composite
def refund_events(draw: st.DrawFn) -> Event:
    status = draw(st.sampled_from(OperationStatus))
    created_at = draw(TIMES)
    is_failed = REFUND_STATUSES[status] is RefundStatus.FAILED
    operation = Operation(
        id=draw(st.uuids()),
        payment_id=draw(st.uuids()),
        merchant_id=draw(st.uuids()),
        kind=Kind.REFUND,
        cause=Cause.MERCHANT,
        gateway="default",
        amount_minor=draw(st.integers(1, 2**63 - 1)),
        status=status,
        correlation_id="c",
        created_at=created_at,
        updated_at=created_at,
        failure_code=draw(st.text(min_size=1, max_size=20)) if is_failed else None,
        reason=draw(TEXTS),
        metadata=draw(METADATA),
        last_sequence=draw(st.integers(1, 2**31 - 1)),
    )
    type_ = REFUND_CREATED if status is OperationStatus.ACCEPTED else f"refund.{REFUND_STATUSES[status]}"
    assume(type_ in OUTCOME_TYPES)
    return refund_event(UUID(int=1), type_, operation, "RUB", draw(st.integers(0, 4)), created_at)


class TestEmittedEvents:
    @given(payment_events())
    def test_an_event_of_a_payment_is_as_its_file_says(self, event: Event) -> None:
        check_event(event)

    @given(refund_events())
    def test_an_event_of_a_refund_is_as_its_file_says(self, event: Event) -> None:
        check_event(event)
        assert (event.subject_type, str(event.subject_id)) == ("refund", event.data["refund_id"])

    @given(charge_events())
    def test_a_fact_about_a_charge_is_as_its_file_says(self, event: Event) -> None:
        check_event(event)
        assert (event.subject_type, str(event.subject_id)) == ("operation", event.data["operation_id"])

    @given(payment_events() | refund_events() | charge_events(), st.sampled_from(["fee", "status_2"]))
    def test_a_member_that_no_file_names_is_noticed(self, event: Event, name: str) -> None:
        with pytest.raises(ValidationError):
            check_event(replace(event, data={**event.data, name: "1.00"}))

    @given(payment_events() | refund_events() | charge_events(), st.data())
    def test_a_member_that_is_lost_is_noticed(self, event: Event, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(event.data)))
        with pytest.raises(ValidationError):
            check_event(replace(event, data={key: value for key, value in event.data.items() if key != name}))


class TestOpenApi:
    @pytest.mark.parametrize("type_", OUTCOME_TYPES)
    def test_a_webhook_is_described_by_the_file_of_its_event(self, contract: Contract, type_: str) -> None:
        content = contract.document["webhooks"][type_]["post"]["requestBody"]["content"]["application/json"]
        described = resolved(content["schema"], contract.document["components"]["schemas"], "#/components/schemas/")
        shared = {f"{name}.json": read_schema(name) for name in ("payment", "refund", "operation")}
        written = read_schema(type_)
        own = written["properties"]["data"]["allOf"][1]["properties"]
        # Generators of clients merge these two with the view, and drop an event that says more.
        own["status"] = {"type": "string", "enum": [own["status"]["const"]]}
        for name in ("failure_code", "capture_before"):
            own.pop(name, None)
        assert meaning(described) == meaning(resolved(written, shared))

    @pytest.mark.parametrize(("name", "view"), [("payment", "PaymentView"), ("refund", "RefundView")])
    def test_answers_show_what_events_carry(self, contract: Contract, name: str, view: str) -> None:
        schemas = contract.document["components"]["schemas"]
        assert meaning(resolved(schemas[view], schemas, "#/components/schemas/")) == meaning(
            resolved(read_schema(name), {})
        )


def resolved(schema: Any, files: dict[str, Any], prefix: str = "", own: dict[str, Any] | None = None) -> Any:
    """Return the schema with what its references lead to in their places."""
    own = schema.get("$defs", {}) if own is None else own
    match schema:
        case {"$ref": str(reference)} if reference.startswith("#/$defs/"):
            return resolved(own[reference.removeprefix("#/$defs/")], files, prefix, own)
        case {"$ref": str(reference)}:
            return resolved(files[reference.removeprefix(prefix)], files, prefix)
        case dict():
            return {name: resolved(value, files, prefix, own) for name, value in schema.items() if name != "$defs"}
        case list():
            return [resolved(value, files, prefix, own) for value in schema]
        case _:
            return schema


def meaning(schema: Any) -> Any:
    """Return the schema without words for people, in one of the ways to say the same."""
    match schema:
        case {"properties": properties, **others}:
            members = {name: meaning(member) for name, member in properties.items()}
            return {**meaning(others), "properties": members, "required": sorted(others.get("required", ()))}
        case {"anyOf": [first, {"type": "null"}], **others}:
            # Null or something else, with the format of what is not null beside both.
            return meaning({**others, **first, "nullable": True})
        case {"type": [type_, "null"], **others}:
            return meaning({**others, "type": type_, "nullable": True})
        case dict():
            words = ("$schema", "description", "examples", "title")
            return {name: meaning(value) for name, value in schema.items() if name not in words}
        case list():
            return [meaning(value) for value in schema]
        case _:
            return schema
