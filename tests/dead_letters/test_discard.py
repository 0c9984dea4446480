"""Discarding dead letters in a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pytest

from local.testkit.live import eventually
from paybridge.core.errors import ConstraintViolated
from paybridge.database.database import Statement
from paybridge.dead_letters.discard import Discarded, discard_dead_letter
from paybridge.dead_letters.domain import Selection
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.read import read_dead_letter
from paybridge.dead_letters.redrive import RedriveOrder, redrive_dead_letters
from paybridge.dead_letters.store import changing
from tests.support.dead_letters import record_dead, rows

pytestmark = pytest.mark.integration

_WAITING = Statement("SELECT count(*) FROM pg_locks WHERE NOT granted")


class TestDiscardDeadLetter:
    def test_it_says_who_when_and_why(self, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        outcome = discard_dead_letter(services, letter.id, actor="ana", note="sent by hand")
        assert outcome is Discarded.DONE
        content = read_dead_letter(services.database, letter.id)
        assert content is not None
        assert (content.letter.state, content.letter.closed_by, content.letter.note) == (
            "discarded",
            "ana",
            "sent by hand",
        )
        (action,) = content.actions
        assert (action.action, action.actor, action.note) == ("discard", "ana", "sent by hand")

    def test_the_second_time_changes_nothing(self, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        discard_dead_letter(services, letter.id, actor="ana", note="first")
        before = rows(services.database)
        assert discard_dead_letter(services, letter.id, actor="bob", note="second") is Discarded.ALREADY
        assert rows(services.database) == before
        content = read_dead_letter(services.database, letter.id)
        assert content is not None
        assert len(content.actions) == 1

    def test_what_is_being_redriven_is_not_discarded(self, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        order = RedriveOrder(selection=Selection(ids=(letter.id,)), rate_per_second=1, actor="ana")
        redrive_dead_letters(services, order)
        assert discard_dead_letter(services, letter.id, actor="ana", note="no") is Discarded.NOT_DEAD
        assert rows(services.database)[0]["state"] == "redriving"

    def test_of_two_operators_at_once_the_second_is_told_that_it_was_done(self, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        with closing(services.database.another()) as other, ThreadPoolExecutor() as threads:
            with services.database.transaction() as transaction:
                changing.discard(transaction, letter.id, "ana", "first", services.clock.now())
                second = threads.submit(
                    discard_dead_letter, replace(services, database=other), letter.id, actor="bob", note="second"
                )
                eventually(lambda: transaction.run(_WAITING) == [[1]], "the second waits")
            assert second.result() is Discarded.ALREADY
        (row,) = rows(services.database)
        assert (row["closed_by"], row["note"]) == ("ana", "first")

    def test_an_unknown_one_is_unknown(self, services: DeadLetterServices) -> None:
        assert discard_dead_letter(services, uuid4(), actor="ana", note="no") is Discarded.UNKNOWN

    def test_actions_are_never_changed(self, services: DeadLetterServices) -> None:
        discard_dead_letter(services, record_dead(services).id, actor="ana", note="why")
        for change in ("UPDATE dead_letter_actions SET actor = 'eve'", "DELETE FROM dead_letter_actions"):
            with pytest.raises(ConstraintViolated) as refusal:
                services.database.run(Statement(change))
            assert refusal.value.constraint == "dead_letter_actions_stay"


class TestConstraints:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("state = 'lost'", "dead_letters_transition_is_legal"),
            ("state = 'redriven', redrives = 1", "dead_letters_transition_is_legal"),
            ("state = 'discarded'", "dead_letters_discarded_says_who"),
            ("state = 'redriving', outbox_id = gen_random_uuid()", "dead_letters_redrive_is_known"),
            ("outbox_id = gen_random_uuid()", "dead_letters_redriving_has_a_message"),
            ("note = 'why'", "dead_letters_open_is_not_closed"),
            ("last_seen_at = first_seen_at - interval '1 s'", "dead_letters_seen_in_order"),
            ("count = 0", "dead_letters_count_check"),
        ],
    )
    def test_the_database_refuses_what_the_use_cases_never_do(
        self, services: DeadLetterServices, change: str, constraint: str
    ) -> None:
        record_dead(services)
        with pytest.raises(ConstraintViolated) as refusal:
            services.database.run(Statement(f"UPDATE dead_letters SET {change}"))  # noqa: S608 - from the table above
        assert refusal.value.constraint == constraint
