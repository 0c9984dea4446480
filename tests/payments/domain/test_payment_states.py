"""The page on the states of payments and refunds agrees with the state machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Any

import pytest

from paybridge.payments.domain.payment import TRANSITIONS, Status
from paybridge.payments.domain.refund import REFUND_TRANSITIONS, RefundStatus
from tests.support.state_diagram import END, PAGE, START, diagrams, drawn, state_diagram

TABLES = pytest.mark.parametrize(
    ("states", "transitions"), [(Status, TRANSITIONS), (RefundStatus, REFUND_TRANSITIONS)], ids=["payment", "refund"]
)


class TestPage:
    def test_its_diagrams_are_the_tables_of_transitions(self) -> None:
        page = PAGE.read_text()
        assert page == drawn(page), "run: python -m tests.support.state_diagram"
        assert [block.partition(END)[0] for block in page.split(START)[1:]] == diagrams()

    def test_it_explains_every_state(self) -> None:
        explained = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
        assert explained == [*Status, *RefundStatus]


@TABLES
class TestStateDiagram:
    def test_each_transition_is_one_arrow(self, states: type[StrEnum], transitions: Mapping[Any, Set[StrEnum]]) -> None:
        arrows = re.findall(r"^ +(\w+) --> (\w+)$", state_diagram(states, transitions), re.MULTILINE)
        wanted = {(str(state), str(target)) for state, targets in transitions.items() for target in targets}
        assert set(arrows) == wanted
        assert len(arrows) == len(wanted)

    def test_final_states_lead_to_the_end(self, states: type[StrEnum], transitions: Mapping[Any, Set[StrEnum]]) -> None:
        ends = re.findall(r"^ +(\w+) --> \[\*\]$", state_diagram(states, transitions), re.MULTILINE)
        assert ends == [state for state in states if not transitions[state]]
