"""Which lines of the logs are wanted: those of one function, those about one payment."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.errors import LocalError


def part_of(stem: str) -> str:
    """Return the name by which a person knows a log, such as consumer for ConsumerFunction."""
    words = [f"-{letter.lower()}" if letter.isupper() else letter for letter in stem.removesuffix("Function")]
    return "".join(words).removeprefix("-")


@dataclass(slots=True)
class Wanted:
    """What FUNCTION and PAYMENT ask for; empty means everything.

    A payment's lines are those with its id and those of the request that made it, which have its correlation id.
    """

    function: str = ""
    payment_id: str = ""
    _ids: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        if not self.payment_id:
            return
        try:
            self._ids = {str(uuid.UUID(self.payment_id))}
        except ValueError:
            raise LocalError(
                f"PAYMENT is {self.payment_id!r}, which is not the id of a payment, such as "
                "01a1fd50-1a0a-70e7-9753-804a71418b4e."
            ) from None

    @property
    def is_filter(self) -> bool:
        return bool(self.function or self.payment_id)

    def takes(self, stem: str) -> bool:
        """Return whether the log with this name is wanted."""
        return not self.function or self.function.lower().removesuffix("function") == part_of(stem)

    def require(self, stems: Iterable[str]) -> None:
        """Raise LocalError if FUNCTION names none of these logs."""
        parts = sorted({part_of(stem) for stem in stems})
        if self.function and not any(map(self.takes, stems)):
            raise LocalError(f"There is no log of {self.function}: choose {', '.join(parts)}.")

    def learn(self, lines: Iterable[str]) -> None:
        """Find the correlation id of the payment."""
        for line in lines:
            if self._ids and any(one in line for one in self._ids):
                for record in _items(_record(line)):
                    if record.get("payment_id") in self._ids and record.get("correlation_id"):
                        self._ids.add(str(record["correlation_id"]))

    def mentions(self, text: str) -> bool:
        """Return whether a text is about the payment."""
        return not self._ids or any(one in text for one in self._ids)


class LineFilter:
    """Passes the wanted lines of one log."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._passed = not wanted.payment_id

    def read(self, line: str) -> str | None:
        """Return the line, without the items of its batch that are about other payments, or None if it is unwanted."""
        if not self._wanted.payment_id:
            return line
        if line.startswith((" ", "\t", "Traceback")):
            # It goes on with what the line before it began.
            return line if self._passed else None
        self._wanted.learn([line])
        self._passed = self._wanted.mentions(line)
        return _without_others(line, self._wanted) if self._passed else None


def _without_others(line: str, wanted: Wanted) -> str:
    record = _record(line)
    lists = {name: value for name, value in record.items() if isinstance(value, list) and any(map(_is_item, value))}
    if not lists:
        return line
    own = {name: [item for item in value if wanted.mentions(json.dumps(item))] for name, value in lists.items()}
    return json.dumps({**record, **own})


def _items(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the record and the items of its lists."""
    lists = [value for value in record.values() if isinstance(value, list)]
    return [record, *(item for value in lists for item in value if _is_item(item))]


def _is_item(value: object) -> bool:
    return isinstance(value, dict)


def _record(line: str) -> Mapping[str, Any]:
    """Return the JSON object that a line holds, behind the time that `sam` may put before it; empty if none."""
    try:
        record = json.loads(line[line.index("{") :])
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
