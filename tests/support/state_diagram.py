"""The state diagram of docs/merchants/payment-states.md, drawn from the table of transitions.

`python -m tests.support.state_diagram` redraws it in the page. A test fails while page and table differ.
"""

from __future__ import annotations

from local.settings import PROJECT
from paybridge.payments.domain.payment import TRANSITIONS, Status

PAGE = PROJECT / "docs/merchants/payment-states.md"
START, END = "```mermaid\n", "```\n"


def state_diagram() -> str:
    """Draw the transitions as a Mermaid state diagram, in the order of the states."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.PENDING}"]
    for state in Status:
        targets = TRANSITIONS[state]
        lines += [f"    {state} --> {target}" for target in Status if target in targets]
        lines += [f"    {state} --> [*]"] if not targets else []
    return "\n".join(lines) + "\n"


def drawn(page: str) -> str:
    """Return the page with its diagram replaced by the present one."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return before + start + state_diagram() + end + after


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
