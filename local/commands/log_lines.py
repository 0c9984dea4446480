"""Turn the lines of a log into lines for a person: time, function, what happened, payment, outcome.

A function logs a JSON object a line. One that lists payments or deliveries becomes a line for each of them, up to
`ITEMS_MAX`. Metrics, and counts that are all zero, become no line. PostgreSQL, RabbitMQ and MiniStack appear only when
something is wrong.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.commands.log_filter import part_of

ITEMS_MAX = 20
FRAMES_MAX = 20
TEXT_LENGTH_MAX = 500
PART_WIDTH = 10
OUTCOME_WIDTH = 10
BEGINNING = datetime.min.replace(tzinfo=UTC)

# What a list in a record holds, in the singular.
_NOUNS = {"payments": "payment", "deliveries": "webhook", "webhooks": "webhook", "refunds": "refund"}
# These members of a record have their own place in the line. The next ones serve machines.
_OWN_PLACE = {"level", "message", "timestamp", "service", "payment_id", "outcome"}
_FOR_MACHINES = {"location", "xray_trace_id", "correlation_id", "delivery_id", "requestId", "logger"}
_STACKS = ("stack", "frames", "stackTrace")
_ERRORS = {"error_type", "errorType", "errorMessage", "exception", "exception_name", "stack_trace", *_STACKS}
_HIDDEN = _OWN_PLACE | _FOR_MACHINES | _ERRORS

_ESCAPES = re.compile(r"\x1b\[[\d;]*m")
# The bridge and MiniStack log in local time, PostgreSQL and the Lambda host in UTC, RabbitMQ with an offset.
_BRIDGE = re.compile(r"(?P<at>[\d-]{10} [\d:]{8}(,\d{3})?) (?P<level>[A-Z]+) (?P<text>.*)")
_LAMBDA_HOST = re.compile(r"(?P<at>[\d-]{10}T[\d:]{8}Z) (?P<text>[\da-f-]{36} .*)")
_POSTGRES = re.compile(r"(?P<at>[\d-]{10} [\d:]{8}\.\d{3} UTC) \[\d+\] (?P<level>[A-Z]+\d?): +(?P<text>.*)")
_RABBITMQ = re.compile(r"(?P<at>[\d-]{10} [\d:]{8}\.\d+\+\d\d:\d\d) \[(?P<level>[a-z]+)\] <[\d.]+> +(?P<text>.*)")
# `sam local` prints them around every invocation.
_PLATFORM = re.compile(r"(START|END|REPORT|INIT_START) (RequestId|Runtime Version): ")
_WRONG = {"WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY", "FATAL", "PANIC"}
_POSTGRES_DETAILS = {"DETAIL", "HINT"}
_QUIET = {"postgres", "rabbitmq", "ministack"}
# `sam logs`, which copies the logs of a deployed function, puts stream and time in front.
_OF_SAM_LOGS = re.compile(r"\S+ [\d-]{10}T[\d:.]+\S* (?P<record>\{.*\})")

_RED, _GREEN, _YELLOW, _CYAN, _DIM = "31", "32", "33", "36", "2"
_OUTCOME_COLOURS = {"succeeded": _GREEN, "delivered": _GREEN, "failed": _RED}


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the terminal, and its moment, by which the lines of several logs are put in order."""

    at: datetime
    text: str


class RawReader:
    """Reads a log for programs: JSON as it is, and any other line as the message of a JSON object."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._at = BEGINNING

    def read(self, line: str) -> list[LogLine]:
        """Return the line itself. A line without a time gets the time of the one before it."""
        line = _ESCAPES.sub("", line)
        record = _record(line)
        if not line.strip():
            return []
        if record is None:
            return [LogLine(self._at, json.dumps({"service": self._part, "message": line}))]
        self._at = _moment(record.get("timestamp")) or self._at
        return [LogLine(self._at, line[line.index("{") :])]


class PersonsReader:
    """Reads a log for a person; `part` is the name of its file, such as ConsumerFunction or bridge."""

    def __init__(self, part: str, *, in_colour: bool = False) -> None:
        self._part = part_of(part)
        self._in_colour = in_colour
        self._at = BEGINNING
        # Whether the last line was shown, and with it what follows it without a time, such as a traceback.
        self._is_shown = self._part not in _QUIET

    def read(self, line: str) -> list[LogLine]:
        """Return the lines to print for one line of the log, in order; none if it is of no interest to a person."""
        line = _ESCAPES.sub("", line)
        record = _record(line)
        texts = self._of_record(record) if record is not None else self._of_text(line)
        return [LogLine(self._at, text) for text in texts]

    def _of_record(self, record: Mapping[str, Any]) -> list[str]:
        self._at = _moment(record.get("timestamp")) or self._at
        self._is_shown = record.get("message") != "metrics"
        if not self._is_shown:
            return []
        part = str(record.get("service") or self._part)
        if "route" in record and "method" in record:
            return [self._line(part, self._request(record))]
        for name, value in record.items():
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                return [self._line(part, text) for text in self._items(record, _NOUNS.get(name, name), value)]
        return self._event(part, record)

    def _request(self, record: Mapping[str, Any]) -> str:
        status = int(_number(record.get("status")))
        colour = _RED if status >= 500 else _YELLOW if status >= 400 else _GREEN
        duration_ms = _number(record.get("duration_ms"))
        return f"{record['method']} {record['route']} {self._paint(str(status), colour)}  {duration_ms:.0f} ms"

    def _items(self, record: Mapping[str, Any], noun: str, items: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        heading = "" if record.get("level") == "INFO" else f"{self._level(record)}{record.get('message')}: "
        for item in items[:ITEMS_MAX]:
            yield f"{heading}{noun} {self._outcome(item)}{item.get('payment_id', '')}{_details(item)}"
        left = items[ITEMS_MAX:]
        if left:
            outcomes = Counter(str(item.get("outcome", "listed")) for item in left)
            counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
            yield f"{heading}{noun}s: {len(left)} more ({counts})"

    def _event(self, part: str, record: Mapping[str, Any]) -> list[str]:
        error = _error(record)
        message = str(record.get("message") or error)
        reason = f": {error}" if error and record.get("message") else ""
        if record.get("level") == "INFO" and _is_idle(record):
            return []
        payment = f" {record['payment_id']}" if record.get("payment_id") else ""
        text = f"{self._level(record)}{message}{reason}{payment}{_details(record)}"
        frames = _frames(record) if record.get("level") not in {"INFO", "WARNING"} else []
        return [self._line(part, text), *(self._continued(frame) for frame in frames)]

    def _of_text(self, line: str) -> list[str]:
        if not line.strip() or _PLATFORM.match(line):
            return []
        for pattern in (_BRIDGE, _LAMBDA_HOST, _POSTGRES, _RABBITMQ):
            if match := pattern.fullmatch(line):
                return self._of_match(match)
        if not self._is_shown:
            return []
        return [self._continued(line) if line.startswith((" ", "\t", "Traceback")) else self._line(self._part, line)]

    def _of_match(self, match: re.Match[str]) -> list[str]:
        found = match.groupdict()
        # The Lambda host itself writes to a function's log only when it ends the function.
        level = found.get("level", "ERROR").upper()
        if level in _POSTGRES_DETAILS:
            return [self._continued(f"{level}: {found['text']}")] if self._is_shown else []
        self._at = _moment(found["at"].replace(" UTC", "+00:00").replace(",", ".")) or self._at
        self._is_shown = self._part not in _QUIET or level in _WRONG
        return [self._line(self._part, self._level({"level": level}) + found["text"])] if self._is_shown else []

    def _line(self, part: str, text: str) -> str:
        time = f"{self._at.astimezone():%H:%M:%S}" if self._at != BEGINNING else " " * 8
        shortened = text if len(text) <= TEXT_LENGTH_MAX else f"{text[: TEXT_LENGTH_MAX - 1]}…"
        return f"{self._paint(time, _DIM)}  {self._paint(f'{part:<{PART_WIDTH}}', _CYAN)}  {shortened}"

    def _continued(self, text: str) -> str:
        return f"{' ' * (8 + 2 + PART_WIDTH + 2)}  {text[:TEXT_LENGTH_MAX]}"

    def _level(self, record: Mapping[str, Any]) -> str:
        """Return the level to print before what is not INFO; a record of AWS's runtime that has none is an error."""
        level = str(record.get("level") or "ERROR")
        return "" if level == "INFO" else f"{self._paint(level, _YELLOW if level == 'WARNING' else _RED)} "

    def _outcome(self, item: Mapping[str, Any]) -> str:
        outcome = str(item.get("outcome") or "")
        if not outcome:
            return ""
        return f"{self._paint(f'{outcome:<{OUTCOME_WIDTH}}', _OUTCOME_COLOURS.get(outcome, _YELLOW))}  "

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._in_colour else text


def _number(value: object) -> float:
    """Return the value if it is a number. Any other, which some program may log under the same name, counts as 0."""
    return float(value) if isinstance(value, int | float) else 0.0


def _record(line: str) -> Mapping[str, Any] | None:
    """Return the JSON object of a line, if it is one."""
    if match := _OF_SAM_LOGS.fullmatch(line):
        line = match["record"]
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _moment(text: Any) -> datetime | None:
    """Return a moment in ISO 8601. One without an offset is in the machine's own time."""
    try:
        return datetime.fromisoformat(str(text)).astimezone()
    except ValueError:
        return None


def _is_idle(record: Mapping[str, Any]) -> bool:
    """Return whether a record reports no work: it has only counts, and all are 0."""
    values = [value for name, value in record.items() if name not in _HIDDEN]
    return bool(values) and all(type(value) in {int, float} and not value for value in values)


def _details(record: Mapping[str, Any]) -> str:
    """Return the other members of a record as `name=value`, except what is empty or 0."""
    shown = {
        name: value for name, value in record.items() if name not in _HIDDEN and value not in (None, "", [], {}, 0)
    }
    return "".join(f"  {name}={_value(value)}" for name, value in shown.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if re.fullmatch(r"[^\s\"=]+", value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _error(record: Mapping[str, Any]) -> str:
    """Return type and message of the error in a record of our logger, Powertools or AWS's runtime."""
    kind = record.get("error_type") or record.get("errorType") or record.get("exception_name") or ""
    message = record.get("errorMessage") or ""
    if not kind and isinstance(record.get("exception"), str):
        return str(record["exception"]).strip().rpartition("\n")[2]
    return f"{kind}: {message}" if message else str(kind)


def _frames(record: Mapping[str, Any]) -> list[str]:
    """Return the innermost frames of an error, outermost first."""
    if isinstance(record.get("exception"), str):
        lines = str(record["exception"]).splitlines()
    else:
        found: list[Any] = next((record[name] for name in _STACKS if isinstance(record.get(name), list)), [])
        lines = [line for frame in found for line in str(frame).rstrip().splitlines()]
    return lines[-FRAMES_MAX:]
