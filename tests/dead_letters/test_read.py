"""Lists, pages, groups and one dead letter, from a real database."""

from __future__ import annotations

from uuid import UUID, uuid4

import orjson
import pytest

from paybridge.core.errors import InvalidInput
from paybridge.dead_letters import read as use_case
from paybridge.dead_letters.domain import Selection, State, content_view, dead_letter_view
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.read import group_dead_letters, list_dead_letters, read_dead_letter
from tests.support.dead_letters import record_dead

pytestmark = pytest.mark.integration


def listed(services: DeadLetterServices, **selection: object) -> list[UUID]:
    page = list_dead_letters(services.database, Selection(**selection), cursor=None, limit=100)  # type: ignore[arg-type]
    return [letter.id for letter in page.letters]


class TestListDeadLetters:
    def test_filters_select_by_queue_fingerprint_and_state(self, services: DeadLetterServices) -> None:
        a, b = record_dead(services, queue="webhooks"), record_dead(services, queue="payments.new", reason="expired")
        assert listed(services) == [b.id, a.id]
        assert listed(services, queue="webhooks") == [a.id]
        assert listed(services, queue="payments.dead") == [b.id, a.id]
        assert listed(services, fingerprint=b.death.fingerprint) == [b.id]
        assert listed(services, state=State.DEAD, queue="webhooks") == [a.id]
        assert listed(services, state=State.REDRIVEN) == []

    def test_pages_follow_each_other_and_do_not_shift(self, services: DeadLetterServices) -> None:
        letters = [record_dead(services).id for _ in range(5)]
        first = list_dead_letters(services.database, Selection(), cursor=None, limit=2)
        record_dead(services)
        second = list_dead_letters(services.database, Selection(), cursor=first.next_cursor, limit=2)
        third = list_dead_letters(services.database, Selection(), cursor=second.next_cursor, limit=2)
        pages = [[letter.id for letter in page.letters] for page in (first, second, third)]
        assert pages == [letters[4:2:-1], letters[2:0:-1], letters[:1]]
        assert third.next_cursor is None

    def test_a_page_of_the_largest_items_fits_into_an_answer_of_lambda(self, services: DeadLetterServices) -> None:
        record_dead(
            services,
            body=b"x" * 100_000,
            queue="\x01" * 2000,
            reason="\x01" * 2000,
            message_id="\x01" * 300,
            type="\x01" * 300,
            correlation_id="\x01" * 300,
        )
        (letter,) = list_dead_letters(services.database, Selection(), cursor=None, limit=1).letters
        assert len(orjson.dumps(dead_letter_view(letter))) * 100 < 4_000_000

    def test_a_cursor_of_another_list_is_refused(self, services: DeadLetterServices) -> None:
        with pytest.raises(InvalidInput, match="next_cursor"):
            list_dead_letters(services.database, Selection(), cursor="no cursor", limit=1)


class TestReadDeadLetter:
    def test_it_has_body_headers_and_deaths(self, services: DeadLetterServices) -> None:
        deaths = [{"queue": "webhooks", "reason": "rejected", "count": 1}]
        letter = record_dead(services, body="h\u00e9".encode(), headers={"a": 1, "x-death": deaths})
        content = read_dead_letter(services.database, letter.id)
        assert content is not None
        view = content_view(content)
        assert (view["body"], view["body_encoding"], view["body_truncated"]) == ("h\u00e9", "utf-8", False)
        assert view["headers"]["a"] == 1
        assert (view["deaths"], view["actions"]) == (deaths, [])

    @pytest.mark.parametrize(
        ("body", "shown", "encoding"),
        [(b"\xff\x00", "/wA=", "base64"), (b"nul\0", "nul\0", "utf-8"), (b"caf\xc3", "Y2Fmww==", "base64")],
    )
    def test_a_body_that_is_no_text_is_shown_in_base64(
        self, services: DeadLetterServices, body: bytes, shown: str, encoding: str
    ) -> None:
        content = read_dead_letter(services.database, record_dead(services, body=body).id)
        assert content is not None
        view = content_view(content)
        assert (view["body"], view["body_encoding"]) == (shown, encoding)

    def test_of_a_large_body_the_beginning_is_shown(
        self, services: DeadLetterServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use_case, "BODY_BYTES_MAX", 4)
        content = read_dead_letter(services.database, record_dead(services, body="abc\u00e9def".encode()).id)
        assert content is not None
        view = content_view(content)
        assert (view["body"], view["body_truncated"], view["body_bytes"]) == ("abc", True, 8)

    def test_an_unknown_one_is_none(self, services: DeadLetterServices) -> None:
        assert read_dead_letter(services.database, uuid4()) is None


class TestGroupDeadLetters:
    def test_equal_faults_are_one_group_and_the_largest_comes_first(self, services: DeadLetterServices) -> None:
        record_dead(services, reason="expired")
        newest = [record_dead(services, reason=f"no payment {uuid4()}") for _ in range(3)][-1]
        largest, smallest = group_dead_letters(services.database, Selection())
        assert (largest.count, smallest.count, smallest.reason) == (3, 1, "expired")
        assert largest.example_id == newest.id
        assert largest.first_seen_at < largest.last_seen_at

    def test_a_selection_bounds_them(self, services: DeadLetterServices) -> None:
        record_dead(services, queue="webhooks")
        assert group_dead_letters(services.database, Selection(queue="payments.new")) == []
