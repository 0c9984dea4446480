"""One event or delivery that breaks our code, in whatever way, never holds up the others of its batch."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from local.testkit.webhooks import DeliveryWorld
from paybridge.core.events import Event
from paybridge.webhooks import begin, record
from paybridge.webhooks.attempts import DeliveryAttempt, SentAttempt
from tests.support.item_errors import ITEM_ERRORS, name_of

pytestmark = pytest.mark.integration


def break_for(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, id_: UUID, error: Exception) -> None:
    """Let a function of the module raise whenever it is given something about this payment."""
    work = getattr(module, name)

    def broken(*given: Any, **named: Any) -> Any:
        if any(_payment_of(one) == id_ for one in given):
            raise error
        return work(*given, **named)

    monkeypatch.setattr(module, name, broken)


def _payment_of(given: Any) -> UUID | None:
    if isinstance(given, Event):
        return given.payment_id
    sent = getattr(given, "sent", given)
    attempt = sent.attempt if isinstance(sent, SentAttempt) else sent
    return attempt.delivery.payment_id if isinstance(attempt, DeliveryAttempt) else None


@pytest.mark.parametrize("error", ITEM_ERRORS, ids=name_of)
@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (begin, "_new_delivery", "cannot begin a webhook delivery"),
        (record, "_finished", "cannot record a webhook delivery"),
    ],
    ids=["begin", "record"],
)
async def test_one_that_breaks_is_logged_and_the_others_arrive(
    world: DeliveryWorld,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: ModuleType,
    name: str,
    message: str,
    error: Exception,
) -> None:
    merchant_id = world.merchant()
    events = [world.event(merchant_id, "/ok") for _ in range(7)]
    bad = events.pop(3)
    break_for(monkeypatch, module, name, bad.payment_id, error)
    reports = await world.deliver(*events[:3], bad, *events[3:])
    assert {report.payment_id for report in reports} == {event.payment_id for event in events}
    assert {report.outcome for report in reports} == {"delivered"}
    (line,) = [vars(record) for record in caplog.records if record.message == message]
    assert (line["levelname"], line["error_type"]) == ("ERROR", name_of(error))
