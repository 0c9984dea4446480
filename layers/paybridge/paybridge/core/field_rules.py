"""The rules for fields: the code and the sentence that callers read when a field breaks one.

Pydantic checks most rules, and its names and sentences change with its versions. They never leave this table, so the
codes below are stable. What Pydantic may add later is answered with INVALID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its stable code. `sentence` says what to send. A function makes it from the limits of the field."""

    code: str
    sentence: str | Callable[[Context], str]

    def detail(self, context: Context) -> str:
        """Return the sentence for a field that breaks the rule."""
        return self.sentence if isinstance(self.sentence, str) else self.sentence(context)


def _counted(limit: str, noun: str, beginning: str) -> Callable[[Context], str]:
    def sentence(context: Context) -> str:
        count = context[limit]
        return f"{beginning} {count} {noun}{'' if count == 1 else 's'}."

    return sentence


def _bounded(limit: str, beginning: str) -> Callable[[Context], str]:
    return lambda context: f"{beginning} {context[limit]}."


def _one_of(context: Context) -> str:
    # Pydantic lists the choices as Python does: 'automatic' or 'manual'.
    choices = str(context["expected"]).replace("'", '"')
    return f"Send {choices}."


INVALID = Rule("invalid", "The value is not valid. Check it against the documentation of this field.")

# Pydantic's name of a rule, and ours.
RULES: Mapping[str, Rule] = {
    "missing": Rule("required", "This field is required."),
    "extra_forbidden": Rule("unknown_member", "Unknown field. Remove it or check its spelling."),
    "string_type": Rule("not_a_string", "Send a string."),
    "string_too_long": Rule("text_too_long", _counted("max_length", "character", "Send at most")),
    "string_too_short": Rule("text_too_short", _counted("min_length", "character", "Send at least")),
    "string_pattern_mismatch": Rule("text_malformed", "The text does not have the form that this field requires."),
    "dict_type": Rule("not_an_object", "Send an object."),
    "model_type": Rule("not_an_object", "Send an object."),
    "too_short": Rule("too_few_members", _counted("min_length", "member", "Send at least")),
    "too_long": Rule("too_many_members", _counted("max_length", "member", "Send at most")),
    "greater_than_equal": Rule("number_out_of_range", _bounded("ge", "Send at least")),
    "less_than_equal": Rule("number_out_of_range", _bounded("le", "Send at most")),
    "literal_error": Rule("not_an_option", _one_of),
    "enum": Rule("not_an_option", _one_of),
    # These are raised by our own validators, under our own names.
    "number_invalid": Rule("number_invalid", "Send a whole number."),
    "limit_invalid": Rule("limit_invalid", "Send a whole number from 1 to 100."),
    "time_invalid": Rule(
        "time_invalid", "Send an RFC 3339 time with seconds and a UTC offset, such as 2026-01-31T12:00:00Z."
    ),
    "day_invalid": Rule("day_invalid", "Send a day, such as 2026-01-31."),
    "currency_unsupported": Rule("currency_unsupported", "Name currencies by their ISO 4217 codes, such as EUR."),
    "event_pattern_unknown": Rule(
        "event_pattern_unknown", "Send a type of event, a family of them such as payment.*, or *."
    ),
    "event_not_notified": Rule(
        "event_not_notified", "Choose other events: payment.created and payment.processing are never sent."
    ),
    "list_type": Rule("not_a_list", "Send a list."),
    "text_unstorable": Rule("text_unstorable", "Remove the NUL character."),
}

# Rules of one field that need a specific sentence. `*` stands for any key of an object.
FIELD_RULES: Mapping[tuple[str, str], Rule] = {
    ("amount", "string_type"): Rule("amount_not_a_string", 'Send the amount as a string, such as "10.00".'),
    ("currency", "string_type"): Rule("not_a_string", 'Send the currency as a string, such as "EUR".'),
    ("currency", "string_pattern_mismatch"): Rule(
        "currency_malformed", "Send an upper-case ISO 4217 code, such as EUR."
    ),
    ("metadata", "dict_type"): Rule("not_an_object", 'Send an object with strings, such as {"order_id": "123"}.'),
    ("metadata.*", "string_type"): Rule("not_a_string", 'Send every value of metadata as a string, such as "42".'),
    ("payment_method", "string_pattern_mismatch"): Rule(
        "payment_method_malformed", "Send 1 to 64 letters, digits, dots, hyphens or underscores."
    ),
    ("payment_id", "string_pattern_mismatch"): Rule("text_malformed", "Send the payment_id of a payment, a UUID."),
    ("cursor", "string_too_long"): Rule("cursor_invalid", "Send a next_cursor of this list unchanged, or none."),
}

# The codes in `errors` besides those of the rules in the domain, such as `amount_places`.
CODES = tuple(sorted({rule.code for rule in (INVALID, *RULES.values(), *FIELD_RULES.values())} | {"repeated"}))


def rule_for(type_: str, path: tuple[str, ...]) -> Rule:
    """Return the rule that a field at this path broke, by Pydantic's name of the rule."""
    field = path[0] if len(path) == 1 else f"{path[0]}.*" if path else ""
    return FIELD_RULES.get((field, type_)) or RULES.get(type_) or INVALID
