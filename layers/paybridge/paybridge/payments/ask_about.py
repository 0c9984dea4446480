"""Ask the gateways now about operations whose outcome is not known, or was not what the gateway's own books say.

The command is the same as after a notice and on the schedule, only sooner. What the gateway then answers is recorded as
always. Nothing that a statement says about money is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import find_late_change_command, run_operation_command
from paybridge.payments.domain.notice import AskNow, Claim, LookAgainNow, WaitForRecord, after_notice
from paybridge.payments.store import late_checks, operations


def ask_about(ids: Ids, transaction: Transaction, claims: Mapping[UUID, Claim], now: datetime) -> set[UUID]:
    """Put commands into the outbox to ask about operations of which the gateway claims something new.

    Return those that may change soon: they are asked about, or a call about them is under way.
    """
    commands: list[Event] = []
    looked_up: list[UUID] = []
    may_change: set[UUID] = set()
    for each in operations.find(transaction, sorted(claims)).values():
        step = after_notice(claims[each.id], each.kind, each.status, each.number, each.asks)
        if isinstance(step, AskNow):
            commands.append(run_operation_command(ids.new(), each, now, step.number, step.ask))
        elif isinstance(step, LookAgainNow):
            commands.append(find_late_change_command(ids.new(), each, now))
            looked_up.append(each.id)
        if isinstance(step, AskNow | LookAgainNow | WaitForRecord):
            may_change.add(each.id)
    late_checks.send_now(transaction, sorted(looked_up))
    outbox.add(transaction, commands)
    return may_change
