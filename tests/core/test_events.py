"""Events as CloudEvents, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import MalformedMessage
from paybridge.core.event_schemas import event_types
from paybridge.core.events import (
    INTERNAL_TYPES,
    PUBLIC_TYPES,
    WEBHOOK_ENDPOINT_TEST,
    WEBHOOK_EXHAUSTED,
    Event,
    parse_envelope,
)
from tests.support.envelopes import an_envelope

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
)
subjects = st.fixed_dictionaries({"subject_type": st.sampled_from(["refund", "dispute"]), "subject_id": st.uuids()})


class TestEnvelope:
    @given(events)
    def test_what_is_written_is_read_back(self, event: Event) -> None:
        assert parse_envelope(json.loads(json.dumps(event.envelope()))) == event

    @given(events, subjects)
    def test_a_subject_besides_the_payment_is_read_back(self, event: Event, subject: dict[str, Any]) -> None:
        about_it = replace(event, **subject)
        envelope = about_it.envelope()
        assert (envelope["subject"], envelope["subjecttype"]) == (str(subject["subject_id"]), subject["subject_type"])
        assert envelope["paymentid"] == str(event.payment_id)
        assert parse_envelope(json.loads(json.dumps(envelope))) == about_it

    @given(events, subjects)
    def test_a_subject_without_a_payment_is_read_back(self, event: Event, subject: dict[str, Any]) -> None:
        about_it = replace(event, payment_id=None, **subject)
        envelope = about_it.envelope()
        assert envelope["subject"] == str(subject["subject_id"])
        assert "paymentid" not in envelope
        assert parse_envelope(json.loads(json.dumps(envelope))) == about_it

    @given(events)
    def test_an_event_of_the_payment_has_no_more_attributes_than_ever(self, event: Event) -> None:
        names = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "merchantid"]
        sequence = ["sequence"] if event.sequence is not None else []
        assert [*event.envelope()] == [*names, "correlationid", "data", *sequence]
        assert event.envelope()["subject"] == str(event.payment_id)

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
            an_envelope(source="another-system"),
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
            an_envelope(data=None),
            an_envelope(data=[1]),
            an_envelope(subjecttype="refund", paymentid="not-a-uuid"),
            an_envelope(subjecttype="webhook_endpoint", paymentid=None),
            an_envelope(subjecttype="", paymentid=str(UUID(int=1))),
            an_envelope(subjecttype=7, paymentid=str(UUID(int=1))),
            an_envelope(subjecttype="refund", paymentid=str(UUID(int=1)), subject="not-a-uuid"),
        ],
    )
    def test_a_message_of_another_system_is_malformed(self, envelope: Any) -> None:
        with pytest.raises(MalformedMessage):
            parse_envelope(envelope)

    def test_attributes_that_we_do_not_use_are_ignored(self) -> None:
        plain = an_envelope()
        traced = {**plain, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": 7}
        assert parse_envelope(traced) == parse_envelope(plain)

    @given(
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
        | st.dictionaries(st.text(), st.text())
    )
    def test_only_malformed_message_is_ever_raised(self, envelope: Any) -> None:
        with pytest.raises(MalformedMessage):
            parse_envelope(envelope)


def vars_of(envelope: dict[str, Any]) -> dict[str, Any]:
    event = parse_envelope(envelope)
    return {name: getattr(event, name) for name in Event.__dataclass_fields__}


class TestPublicTypes:
    def test_every_type_with_a_schema_belongs_to_one_group(self) -> None:
        # A payment's timeline alone shows an exhausted webhook, and a test of an endpoint is no event.
        others = {WEBHOOK_EXHAUSTED, WEBHOOK_ENDPOINT_TEST, *INTERNAL_TYPES}
        assert sorted(PUBLIC_TYPES) == [type_ for type_ in event_types() if type_ not in others]
