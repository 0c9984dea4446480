"""The saga of a payment's money: every step, how it is undone, and when that is allowed.

| step          | do                     | probe  | undo   | undone after                  | gives up |
| ------------- | ---------------------- | ------ | ------ | ----------------------------- | -------- |
| charge        | take the money         | find   | refund | partial, or succeeded too late | yes      |
| authorization | hold the money         | find   | void   | partial, or succeeded too late | yes      |
| capture       | take what is held      | find   | void   | declined                      | no       |
| void          | release what is held   | find   | -      | -                             | no       |
| refund        | give the money back    | find   | -      | -                             | yes      |

Every step is an operation and runs on the same engine: the attempt is committed, the gateway is asked, the outcome is
committed. After a crash the next message probes before it asks again, with the same key. A step is undone only after
its outcome is known, and the undo is an operation too, so nothing is undone by guess and an undo survives a crash. A
capture that was declined leaves the hold, which is what its undo releases. A step that does not give up is asked for
again, at most an hour apart, until the gateway knows its outcome: giving it up would leave money held or taken with
nothing to show for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paybridge.payments.domain.operation import Kind, OperationStatus


@dataclass(frozen=True, slots=True)
class Step:
    """How a step is undone, after which outcomes, and whether it may fail because the gateway never heard of it."""

    undo: Kind | None
    undone_after: frozenset[OperationStatus]
    gives_up: bool


SAGA: Mapping[Kind, Step] = {
    Kind.CHARGE: Step(Kind.REFUND, frozenset({OperationStatus.PARTIAL, OperationStatus.SUCCEEDED}), gives_up=True),
    Kind.AUTHORIZATION: Step(Kind.VOID, frozenset({OperationStatus.PARTIAL, OperationStatus.SUCCEEDED}), gives_up=True),
    Kind.CAPTURE: Step(Kind.VOID, frozenset({OperationStatus.DECLINED}), gives_up=False),
    Kind.VOID: Step(None, frozenset(), gives_up=False),
    Kind.REFUND: Step(None, frozenset(), gives_up=True),
}


def undo_of(kind: Kind, outcome: OperationStatus) -> Kind | None:
    """Return the operation that undoes a step after this outcome; None if nothing may be undone."""
    step = SAGA.get(kind)
    return step.undo if step is not None and outcome in step.undone_after else None
