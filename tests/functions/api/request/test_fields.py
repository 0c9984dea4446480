"""Validation of fields, and the answer for invalid ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core._pydantic_core import list_all_errors

from api.routes.payments.schemas import PaymentListQuery
from paybridge.core import field_rules as rules
from paybridge.core.fields import FieldError, field_errors, validate
from paybridge.core.strict_json import JsonNumber
from paybridge.intake.payment_request import PaymentRequest

MARK = "4111-hostile-mark"
# What the parser of bodies returns, and what a query holds.
QUERY_TEXTS = st.text(max_size=70) | st.sampled_from(["0", "5", "101", "x" * 300, "\x00", "2026-01-01T00:00:00Z"])
LEAVES = st.none() | st.booleans() | st.builds(JsonNumber, st.just("1.5")) | QUERY_TEXTS
JSON_VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=50), inner), max_leaves=5
)


class Parcel(BaseModel):
    """A model with a field of each kind."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=5)]
    labels: Annotated[dict[str, str], Field(max_length=1)] = {}
    speed: Literal["slow", "fast"] = "slow"


def faults_of(members: dict[str, Any]) -> list[FieldError]:
    """Return the faults that are found in these members."""
    parcel, faults = validate(Parcel, members)
    assert parcel is None
    return faults


class TestValidate:
    def test_returns_the_model(self) -> None:
        assert validate(Parcel, {"name": "box"}) == (Parcel(name="box"), [])

    @pytest.mark.parametrize(
        ("members", "field", "code", "detail"),
        [
            ({}, "name", "required", "This field is required."),
            ({"name": 1}, "name", "not_a_string", "Send a string."),
            ({"name": "x" * 6}, "name", "text_too_long", "Send at most 5 characters."),
            ({"name": ""}, "name", "text_too_short", "Send at least 1 character."),
            ({"name": "box", "labels": []}, "labels", "not_an_object", "Send an object."),
            ({"name": "box", "labels": {"a": "", "b": ""}}, "labels", "too_many_members", "Send at most 1 member."),
            ({"name": "box", "labels": {"a": 1}}, "labels.a", "not_a_string", "Send a string."),
            ({"name": "box", "labels": {"[key]": 1}}, "labels.?", "not_a_string", "Send a string."),
            ({"name": "box", "labels": {"body": 1}}, "labels.body", "not_a_string", "Send a string."),
            ({"name": "box", "labels": {"1" * 9: 1}}, "labels.?", "not_a_string", "Send a string."),
            ({"name": "box", "speed": MARK}, "speed", "not_an_option", 'Send "slow" or "fast".'),
            (
                {"name": "box", "nmae": MARK},
                "nmae",
                "unknown_member",
                "Unknown field. Remove it or check its spelling.",
            ),
        ],
    )
    def test_names_the_field_and_what_to_do(self, members: dict[str, Any], field: str, code: str, detail: str) -> None:
        [error] = faults_of(members)
        assert (error.field, error.code, error.detail) == (field, code, detail)

    def test_names_every_invalid_field(self) -> None:
        assert [error.field for error in faults_of({"name": 1, "speed": "x", "extra": "y"})] == [
            "name",
            "speed",
            "extra",
        ]

    def test_never_repeats_a_value(self) -> None:
        assert MARK not in str(faults_of({"name": MARK, "labels": {MARK: 1}, "speed": MARK, "x": MARK}))


# What pydantic_core says of every rule that it knows, in every version.
EVERY_TYPE = {error["type"]: error for error in list_all_errors()}


class TestPydanticsWords:
    @pytest.mark.parametrize("type_", EVERY_TYPE)
    @pytest.mark.parametrize("location", [("amount",), ("metadata", "a"), ("limit",), ()])
    def test_no_rule_is_answered_in_them(self, type_: str, location: tuple[str, ...]) -> None:
        context = EVERY_TYPE[type_]["example_context"] or {}
        [fault] = field_errors([{"type": type_, "loc": location, "ctx": context, "msg": "Input should be …"}])
        assert fault.code in rules.CODES
        assert fault.code not in EVERY_TYPE
        assert EVERY_TYPE[type_]["example_message_python"] not in fault.detail
        assert "nput" not in fault.detail
        assert fault.detail.endswith(".")

    def test_a_rule_of_a_later_version_is_answered_too(self) -> None:
        [fault] = field_errors([{"type": "a_new_one", "loc": ("amount",), "msg": "Input should be new"}])
        assert (fault.code, fault.detail) == (rules.INVALID.code, rules.INVALID.detail({}))

    def test_every_rule_of_the_table_is_one_of_pydantic_or_ours(self) -> None:
        own = {
            *("currency_unsupported", "event_not_notified", "event_pattern_unknown", "limit_invalid"),
            *("day_invalid", "number_invalid"),
            *("text_unstorable", "time_invalid"),
        }
        assert set(rules.RULES) - own <= set(EVERY_TYPE)
        assert {type_ for _, type_ in rules.FIELD_RULES} <= set(EVERY_TYPE)

    @settings(max_examples=300, deadline=None)
    @given(members=st.dictionaries(st.sampled_from([*PaymentRequest.model_fields, "other"]), JSON_VALUES))
    def test_the_rules_of_a_payment_have_sentences_that_say_more_than_invalid(self, members: dict[str, Any]) -> None:
        _, faults = validate(PaymentRequest, members)
        assert rules.INVALID.code not in {fault.code for fault in faults}

    @settings(max_examples=300, deadline=None)
    @given(members=st.dictionaries(st.sampled_from([*PaymentListQuery.model_fields, "other"]), QUERY_TEXTS))
    def test_the_rules_of_a_list_have_sentences_that_say_more_than_invalid(self, members: dict[str, str]) -> None:
        _, faults = validate(PaymentListQuery, members)
        assert rules.INVALID.code not in {fault.code for fault in faults}
