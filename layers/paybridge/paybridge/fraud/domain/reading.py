"""Read rules from JSON members, and say everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paybridge.core.errors import InvalidInput
from paybridge.core.money import exponent
from paybridge.fraud.domain.rules import AMOUNT_PLACES, Conditions, FraudRule, Per, Velocity, Verdict, Window

RULES_MAX = 100
# Each costs a look at a counter for every payment.
WINDOWS_MAX = 20
LIST_MEMBERS_MAX = 500
SCORE_MAX = 1000
# Counters are kept for as long as this.
WINDOW_SECONDS_MAX = 30 * 24 * 3600
COUNT_MAX = 1_000_000
CUSTOMER_CHARACTERS_MAX = 255
AMOUNT_CHARACTERS_MAX = 20

RULE_ID_PATTERN = r"^[A-Za-z0-9_.\-]{1,64}$"
AMOUNT_PATTERN = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"
PAYMENT_METHOD_PATTERN = r"^[A-Za-z0-9_.\-]{1,64}$"

_RULE_ID = re.compile(RULE_ID_PATTERN.strip("^$"))
_AMOUNT = re.compile(AMOUNT_PATTERN.strip("^$"))
_PAYMENT_METHOD = re.compile(PAYMENT_METHOD_PATTERN.strip("^$"))
_NAME = re.compile(r"[a-z_]{1,40}")
_UNITS: int = 10**AMOUNT_PLACES


@dataclass(frozen=True, slots=True)
class RuleFault:
    """A member that breaks a rule: its path, a stable code, and what to send."""

    field: str
    code: str
    detail: str


class _Faulty(Exception):
    """Marks a value that cannot be read; its fault is noted."""


class _Reader:
    """Reads members one by one, and collects the faults of all of them."""

    def __init__(self, *, is_stored: bool = False) -> None:
        self.faults: list[RuleFault] = []
        self._is_stored = is_stored

    def fault(self, path: str, code: str, detail: str) -> _Faulty:
        self.faults.append(RuleFault(path, code, detail))
        return _Faulty()

    def rules(self, value: Any, path: str) -> tuple[FraudRule, ...]:
        if not isinstance(value, list):
            raise self.fault(path, "not_an_array", "Send an array of rules. An empty one screens nothing.")
        if len(value) > RULES_MAX:
            raise self.fault(path, "too_many_members", f"Send at most {RULES_MAX} rules.")
        read = [self._tried(self._rule, item, f"{path}.{place}") for place, item in enumerate(value)]
        self._refuse_equal_ids(value, path)
        rules = tuple(rule for rule in read if rule is not None)
        windows = {rule.when.velocity.window for rule in rules if rule.when.velocity is not None}
        if len(windows) > WINDOWS_MAX:
            detail = f"Use at most {WINDOWS_MAX} different pairs of `per` and `window_seconds`."
            raise self.fault(path, "too_many_windows", detail)
        return rules

    def _tried(self, read: Callable[[Any, str], Any], value: Any, path: str) -> Any:
        try:
            return read(value, path)
        except _Faulty:
            return None

    def _refuse_equal_ids(self, value: list[Any], path: str) -> None:
        seen: set[str] = set()
        for place, item in enumerate(value):
            id_ = item.get("id") if isinstance(item, dict) else None
            if isinstance(id_, str) and id_ in seen:
                self.fault(f"{path}.{place}.id", "duplicate_id", "Another rule has this id. Give each rule its own.")
            elif isinstance(id_, str):
                seen.add(id_)

    def _rule(self, value: Any, path: str) -> FraudRule:
        members = self._object(value, path, ("id", "action", "score", "when"))
        id_ = self._required(members, "id", self._rule_id, path)
        action = self._required(members, "action", self._option(Verdict), path)
        score = self._optional(members, "score", self._whole(0, SCORE_MAX), path)
        when = self._required(members, "when", self._conditions, path)
        if id_ is None or action is None or when is None:
            raise _Faulty
        return FraudRule(id_, action, score or 0, when)

    def _conditions(self, value: Any, path: str) -> Conditions:
        readers: Mapping[str, Callable[[Any, str], Any]] = {
            "amount_gte": self._amount,
            "currency_in": self._list_of(self._currency),
            "customer_in": self._list_of(self._customer),
            "payment_method_in": self._list_of(self._payment_method),
            "first_seen_customer": self._boolean,
            "velocity": self._velocity,
        }
        members = self._object(value, path, readers)
        return Conditions(**{name: self._optional(members, name, read, path) for name, read in readers.items()})

    def _velocity(self, value: Any, path: str) -> Velocity:
        members = self._object(value, path, ("per", "window_seconds", "count_gte", "amount_gte"))
        per = self._required(members, "per", self._option(Per), path)
        seconds = self._required(members, "window_seconds", self._whole(1, WINDOW_SECONDS_MAX), path)
        count = self._optional(members, "count_gte", self._whole(1, COUNT_MAX), path)
        amount = self._optional(members, "amount_gte", self._amount, path)
        if members.get("count_gte") is None and members.get("amount_gte") is None:
            raise self.fault(path, "velocity_without_limit", "Send `count_gte`, `amount_gte` or both.")
        if per is None or seconds is None:
            raise _Faulty
        return Velocity(window=Window(per, seconds), count_gte=count, amount_gte=amount)

    def _object(self, value: Any, path: str, known: Iterable[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fault(path, "not_an_object", "Send an object.")
        for name in sorted(set(value) - set(known)):
            shown = name if _NAME.fullmatch(name) else "?"
            self.fault(f"{path}.{shown}", "unknown_member", "Unknown field. Remove it or check its spelling.")
        return value

    def _required(self, members: Mapping[str, Any], name: str, read: Callable[[Any, str], Any], path: str) -> Any:
        if members.get(name) is None:
            self.fault(f"{path}.{name}", "required", "This field is required.")
            return None
        return self._tried(read, members[name], f"{path}.{name}")

    def _optional(self, members: Mapping[str, Any], name: str, read: Callable[[Any, str], Any], path: str) -> Any:
        value = members.get(name)
        return None if value is None else self._tried(read, value, f"{path}.{name}")

    def _rule_id(self, value: Any, path: str) -> str:
        text = self._text(value, path)
        if not _RULE_ID.fullmatch(text):
            raise self.fault(path, "rule_id_invalid", "Send 1 to 64 letters, digits, dots, hyphens or underscores.")
        return text

    def _text(self, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise self.fault(path, "not_a_string", "Send a string.")
        return value

    def _boolean(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise self.fault(path, "not_a_boolean", "Send true or false.")
        return value

    def _option(self, options: type[Verdict] | type[Per]) -> Callable[[Any, str], Verdict | Per]:
        def read(value: Any, path: str) -> Verdict | Per:
            if not isinstance(value, str) or value not in list(options):
                raise self.fault(path, "not_an_option", f"Send one of {', '.join(options)}.")
            return options(value)

        return read

    def _whole(self, least: int, most: int) -> Callable[[Any, str], int]:
        def read(value: Any, path: str) -> int:
            if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
                number: int = value
                return number
            raise self.fault(path, "number_invalid", f"Send a whole number from {least} to {most}.")

        return read

    def _list_of(self, read: Callable[[Any, str], str]) -> Callable[[Any, str], frozenset[str]]:
        def read_all(value: Any, path: str) -> frozenset[str]:
            if not isinstance(value, list):
                raise self.fault(path, "not_an_array", "Send an array of strings.")
            if not value:
                raise self.fault(path, "too_few_members", "Send at least one member, or leave the field out.")
            if len(value) > LIST_MEMBERS_MAX:
                raise self.fault(path, "too_many_members", f"Send at most {LIST_MEMBERS_MAX} members.")
            texts = [self._tried(read, item, f"{path}.{place}") for place, item in enumerate(value)]
            members = frozenset(text for text in texts if text is not None)
            if len(members) < len(value) and None not in texts:
                raise self.fault(path, "duplicate_member", "Send each member once.")
            return members

        return read_all

    def _currency(self, value: Any, path: str) -> str:
        text = self._text(value, path)
        if self._is_stored:
            # The currency may have been withdrawn since.
            return text
        try:
            exponent(text)
        except InvalidInput as error:
            raise self.fault(path, error.code, error.detail) from None
        return text

    def _customer(self, value: Any, path: str) -> str:
        text = self._text(value, path)
        if not 1 <= len(text) <= CUSTOMER_CHARACTERS_MAX:
            raise self.fault(path, "customer_invalid", f"Send 1 to {CUSTOMER_CHARACTERS_MAX} characters.")
        return text

    def _payment_method(self, value: Any, path: str) -> str:
        text = self._text(value, path)
        if not _PAYMENT_METHOD.fullmatch(text):
            detail = "Send 1 to 64 letters, digits, dots, hyphens or underscores."
            raise self.fault(path, "payment_method_malformed", detail)
        return text

    def _amount(self, value: Any, path: str) -> int:
        if not isinstance(value, str):
            raise self.fault(path, "amount_not_a_string", 'Send the amount as a string, such as "10.00".')
        if len(value) > AMOUNT_CHARACTERS_MAX:
            raise self.fault(path, "amount_too_large", "The amount must have at most 15 digits before the point.")
        if not _AMOUNT.fullmatch(value):
            detail = 'The amount must be a decimal string with at most 15 digits and 4 places, such as "100.50".'
            raise self.fault(path, "amount_malformed", detail)
        whole, _, fraction = value.partition(".")
        units = int(whole) * _UNITS + int(fraction.ljust(AMOUNT_PLACES, "0"))
        if units == 0:
            raise self.fault(path, "amount_not_positive", "The amount must be above zero.")
        return units


def read_rules(value: Any, path: str = "rules") -> tuple[tuple[FraudRule, ...], list[RuleFault]]:
    """Return the rules in a JSON array of members, and every fault; rules with faults are left out.

    Numbers must be of type int. A member that is null counts as absent.
    """
    reader = _Reader()
    try:
        rules = reader.rules(value, path)
    except _Faulty:
        rules = ()
    return rules, reader.faults


def read_stored_rules(value: Any) -> tuple[FraudRule, ...]:
    """Return rules that were accepted before. Raises InvalidInput if they cannot be read as they are."""
    reader = _Reader(is_stored=True)
    try:
        rules = reader.rules(value, "rules")
    except _Faulty:
        rules = ()
    if reader.faults:
        # Rules that were left out would let payments pass.
        raise InvalidInput(reader.faults[0].code, "Stored fraud rules cannot be read.", reader.faults[0].field)
    return rules


def without_nulls(value: Any) -> Any:
    """Return the members without those that are null, as they are stored and shown."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value
