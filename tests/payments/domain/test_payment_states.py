"""The page on the states of a payment agrees with the state machine."""

from __future__ import annotations

import re

from paybridge.payments.domain.payment import TRANSITIONS, Status
from tests.support.state_diagram import PAGE, drawn, state_diagram


class TestPage:
    def test_its_diagram_is_the_table_of_transitions(self) -> None:
        page = PAGE.read_text()
        assert page == drawn(page), "run: python -m tests.support.state_diagram"

    def test_it_explains_every_state(self) -> None:
        assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE) == list(Status)


class TestStateDiagram:
    def test_each_transition_is_one_arrow(self) -> None:
        arrows = re.findall(r"^ +(\w+) --> (\w+)$", state_diagram(), re.MULTILINE)
        wanted = {(str(state), str(target)) for state, targets in TRANSITIONS.items() for target in targets}
        assert set(arrows) == wanted
        assert len(arrows) == len(wanted)

    def test_final_states_lead_to_the_end(self) -> None:
        ends = re.findall(r"^ +(\w+) --> \[\*\]$", state_diagram(), re.MULTILINE)
        assert ends == ["failed", "canceled"]
