"""The state diagrams of docs/merchants/payment-states.md, drawn from the tables of transitions.

`python -m tests.support.state_diagram` redraws them in the page. A test fails while page and tables differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from itertools import chain, zip_longest
from typing import Any

from local.settings import PROJECT
from paybridge.payments.domain.payment import TRANSITIONS, Status
from paybridge.payments.domain.refund import REFUND_TRANSITIONS, RefundStatus

PAGE = PROJECT / "docs/merchants/payment-states.md"
START, END = "```mermaid\n", "```\n"


def state_diagram(states: type[StrEnum], transitions: Mapping[Any, Set[StrEnum]]) -> str:
    """Draw the transitions as a Mermaid state diagram, in the order of the states, from the first one on."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(states))}"]
    for state in states:
        targets = transitions[state]
        lines += [f"    {state} --> {target}" for target in states if target in targets]
        lines += [f"    {state} --> [*]"] if not targets else []
    return "\n".join(lines) + "\n"


def diagrams() -> list[str]:
    """Return the diagrams of the page: that of payments, and that of refunds."""
    return [state_diagram(Status, TRANSITIONS), state_diagram(RefundStatus, REFUND_TRANSITIONS)]


def drawn(page: str) -> str:
    """Return the page with its diagrams replaced by the present ones."""
    before, *rest = page.split(START)
    after = [part.partition(END)[2] for part in rest]
    blocks = [START + diagram + END for diagram in diagrams()]
    return before + "".join(chain.from_iterable(zip_longest(blocks, after, fillvalue="")))


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
