"""Events as CloudEvents, and back."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event, parse_envelope
from paybridge.observability.redaction import loggable
from paybridge.outbox.routes import route

events = st.builds(
    Event,
    id=st.uuids(),
    type=st.sampled_from(["payment.created", "payment.succeeded", "command.process_payment"]),
    payment_id=st.uuids(),
    merchant_id=st.uuids(),
    correlation_id=st.text(min_size=1),
    time=st.datetimes(timezones=st.just(UTC)),
    data=st.dictionaries(st.text(), st.text() | st.integers()),
    sequence=st.none() | st.integers(1, 10**9),
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)


def an_envelope(**changes: Any) -> dict[str, Any]:
    event = Event(
        id=uuid4(),
        type="payment.created",
        payment_id=UUID(int=1),
        merchant_id=UUID(int=2),
        correlation_id="c",
        time=datetime(2026, 11, 21, tzinfo=UTC),
        data={},
        sequence=1,
    )
    return {**event.envelope(), **changes}


class TestEnvelope:
    @given(events)
    def test_what_is_written_is_read_back(self, event: Event) -> None:
        assert parse_envelope(json.loads(json.dumps(event.envelope()))) == event

    @given(st.integers(1, 10**9), st.integers(1, 10**9))
    def test_sequences_sort_as_text(self, first: int, second: int) -> None:
        texts = [
            Event(**{**vars_of(an_envelope()), "sequence": number}).envelope()["sequence"] for number in (first, second)
        ]
        assert (texts[0] < texts[1]) == (first < second)


class TestParseEnvelope:
    @pytest.mark.parametrize(
        "envelope",
        [
            None,
            [],
            "text",
            {},
            an_envelope(specversion="0.3"),
            an_envelope(source="somebody-else"),
            an_envelope(id="not-a-uuid"),
            an_envelope(id=7),
            an_envelope(subject=None),
            an_envelope(merchantid=""),
            an_envelope(type=""),
            an_envelope(type=3),
            an_envelope(correlationid=None),
            an_envelope(time="yesterday"),
            an_envelope(time=0),
            an_envelope(sequence="first"),
            an_envelope(sequence="0"),
            an_envelope(sequence="99999999999"),
            an_envelope(sequence=1),
            an_envelope(traceparent=7),
            an_envelope(data=None),
            an_envelope(data=[1]),
        ],
    )
    def test_a_strangers_message_is_malformed(self, envelope: Any) -> None:
        with pytest.raises(MalformedMessage):
            parse_envelope(envelope)

    @given(
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
        | st.dictionaries(st.text(), st.text())
    )
    def test_nothing_but_malformed_message_is_ever_raised(self, envelope: Any) -> None:
        with pytest.raises(MalformedMessage):
            parse_envelope(envelope)


class TestLoggable:
    @given(st.uuids())
    def test_a_uuid_stays_as_it_is(self, id_: UUID) -> None:
        assert loggable(str(id_)) == str(id_)

    @pytest.mark.parametrize("text", ["4111111111111111", "4111 1111 1111 1111", "x4111-1111-1111-1111y"])
    def test_what_may_be_a_card_number_goes(self, text: str) -> None:
        assert "[digits]" in loggable(text)
        assert "1111" not in loggable(text)

    def test_other_texts_stay(self) -> None:
        assert loggable("order-2026-000123") == "order-2026-000123"


class TestRoute:
    def test_new_payments_and_commands_go_to_work_queues_and_outcomes_to_the_topic(self) -> None:
        assert route("payment.created") == route("command.process_payment") == ("payments", "payments.new")
        assert route("payment.succeeded") == ("payments.events", "payment.succeeded")
        assert route("payment.processing")[0] is None


def vars_of(envelope: dict[str, Any]) -> dict[str, Any]:
    event = parse_envelope(envelope)
    return {name: getattr(event, name) for name in Event.__dataclass_fields__}
