"""Read a gateway's statement from CSV, exactly: every row is a line or an error with its number, and none is lost.

    id,operation_id,reference,kind,amount,currency,status,created_at
    ch_1,01a1fd50-…,,charge,"1,234.50",EUR,succeeded,2026-11-28T12:00:00Z

Columns come in any order and any case. `id`, `kind`, `currency` and `created_at` are needed, one of `operation_id` and
`reference`, and one of `amount` and `amount_minor`. `status` is `succeeded` where it is missing. The separator is a
comma, a semicolon or a tab, whichever the header has. A byte order mark, CRLF and quotes are understood.

Amounts are decimal: a point before the places of the currency, and optional commas between groups of three digits. What
could be read in two ways, such as `1,234` with a comma for the places, is refused and never guessed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from paybridge.core.errors import InvalidInput, PaybridgeError
from paybridge.core.money import exponent
from paybridge.core.times import parse_time
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import LineStatus, StatementLine, reference_of

# Far more than one request carries.
LINES_MAX = 100_000
ERRORS_SHOWN_MAX = 20
_CELL_CHARACTERS_MAX = 500
_AMOUNT_MINOR_MAX = 2**63 - 1
_NEEDED = ("id", "kind", "currency", "created_at")
_KNOWN = frozenset({*_NEEDED, "operation_id", "reference", "amount", "amount_minor", "status"})
_STATUSES = {
    **dict.fromkeys(("", "succeeded", "success", "settled", "paid"), LineStatus.SUCCEEDED),
    **dict.fromkeys(("pending", "processing"), LineStatus.PENDING),
    **dict.fromkeys(("declined", "failed", "canceled", "cancelled"), LineStatus.DECLINED),
}
# Digits with a comma between each group of three, or without any, and the places after a point.
_AMOUNT = re.compile(r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<places>[0-9]+))?")
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong in a row; `line` counts from 1, with the header."""

    line: int
    error: str


class StatementInvalid(PaybridgeError):
    """A statement cannot be read; nothing of it was stored. `errors` has the first rows at fault, `count` all."""

    def __init__(self, errors: list[LineError], count: int) -> None:
        shown = "; ".join(f"line {each.line}: {each.error}" for each in errors[:3])
        more = f" and {count - 3} more" if count > 3 else ""
        super().__init__(f"The statement cannot be read. {shown}{more}. Nothing was imported.")
        self.errors = errors
        self.count = count


def parse_statement(content: bytes) -> list[StatementLine]:
    """Return the lines of a statement. Raises StatementInvalid for a file with any row that cannot be read."""
    text = _decode(content)
    # Lines end as the format says, and not at every character that Python takes for an end.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    filled = ((row, number) for row, number in _numbered(rows) if any(cell.strip() for cell in row))
    header = _header(*next(filled, ([], 1)))
    lines: list[StatementLine] = []
    errors: list[LineError] = []
    for row, number in filled:
        try:
            lines.append(_line(header, row))
        except ValueError as error:
            errors.append(LineError(number, str(error)))
    if len(lines) > LINES_MAX:
        errors.append(LineError(LINES_MAX + 2, f"the file has more than {LINES_MAX} lines"))
    if errors:
        raise StatementInvalid(errors[:ERRORS_SHOWN_MAX], len(errors))
    return lines


def _decode(content: bytes) -> str:
    # Excel marks UTF-8, and its "Unicode text" is UTF-16 with a mark.
    encoding, name = ("utf-16", "UTF-16") if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig", "UTF-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        # What comes before is readable, so its line ends are those that a reader sees.
        line = error.object[: error.start].decode(encoding).count("\n") + 1
        raise StatementInvalid([LineError(line, f"it is not {name}")], 1) from None


def _separator(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[list[str], int]]:
    """Yield the rows, each with the number of its last line. Raises StatementInvalid for a broken quote."""
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            line = int(getattr(rows, "line_num", 0))
            raise StatementInvalid([LineError(line, f"the row is not valid CSV ({error})")], 1) from None
        yield row, int(getattr(rows, "line_num", 0))


def _header(row: list[str], number: int) -> dict[str, int]:
    """Return the place of each column. Raises StatementInvalid."""
    names = [cell.strip().lower() for cell in row]
    header = {name: place for place, name in enumerate(names) if name in _KNOWN}
    missing = [name for name in _NEEDED if name not in header]
    if "operation_id" not in header and "reference" not in header:
        missing.append("operation_id or reference")
    if ("amount" in header) + ("amount_minor" in header) != 1:
        missing.append("amount or amount_minor, one of the two")
    if not row:
        error = "the file is empty, and a header is needed"
    elif len(header) < sum(name in _KNOWN for name in names):
        error = "the header names a column twice"
    elif missing:
        error = f"the header lacks {', '.join(missing)}"
    else:
        header["_columns"] = len(row)
        return header
    raise StatementInvalid([LineError(number, error)], 1)


def _line(header: Mapping[str, int], row: list[str]) -> StatementLine:
    if len(row) != header["_columns"]:
        raise ValueError(f"it has {len(row)} cells and the header {header['_columns']}")
    cells = {name: row[place].strip() for name, place in header.items() if name != "_columns"}
    for name, cell in cells.items():
        if len(cell) > _CELL_CHARACTERS_MAX or not cell.isprintable():
            raise ValueError(f"{name} is too long or has control characters")
    kind = _kind(cells["kind"])
    currency, places = _currency(cells["currency"])
    return StatementLine(
        id=_id(cells["id"]),
        operation_id=reference_of(_uuid(cells.get("operation_id")), _uuid(cells.get("reference")), kind),
        kind=kind,
        amount_minor=_amount_minor(cells, places, currency),
        currency=currency,
        status=_status(cells.get("status", "")),
        at=_time(cells["created_at"]),
    )


def _id(cell: str) -> str:
    if not 0 < len(cell) <= 255:
        raise ValueError("id must have 1 to 255 characters")
    return cell


def _kind(cell: str) -> Kind:
    try:
        return Kind(cell.lower())
    except ValueError:
        raise ValueError(f"kind must be one of {', '.join(Kind)}") from None


def _currency(cell: str) -> tuple[str, int]:
    code = cell.upper()
    try:
        return code, exponent(code)
    except InvalidInput:
        raise ValueError("currency is not an ISO 4217 code with minor units") from None


def _uuid(cell: str | None) -> UUID | None:
    """Return an id of ours; a reference of another system is none."""
    try:
        return UUID(cell) if cell else None
    except ValueError:
        return None


def _amount_minor(cells: Mapping[str, str], places: int, currency: str) -> int:
    if "amount_minor" in cells:
        if not _DIGITS.fullmatch(cells["amount_minor"]) or int(cells["amount_minor"]) > _AMOUNT_MINOR_MAX:
            raise ValueError("amount_minor is not a whole number of minor units")
        return int(cells["amount_minor"])
    match = _AMOUNT.fullmatch(cells["amount"])
    if match is None:
        raise ValueError('amount is not a decimal number such as 1234.50 or "1,234.50"')
    fraction = match["places"] or ""
    if len(fraction) != places:
        raise ValueError(f"amount has {len(fraction)} decimal places, and {currency} has {places}")
    minor = int(match["whole"].replace(",", "") + fraction)
    if minor > _AMOUNT_MINOR_MAX:
        raise ValueError("amount is too large")
    return minor


def _status(cell: str) -> LineStatus:
    status = _STATUSES.get(cell.lower())
    if status is None:
        raise ValueError("status is neither succeeded, pending nor declined")
    return status


def _time(cell: str) -> datetime:
    try:
        return parse_time(cell.replace(" ", "T", 1)).astimezone(UTC)
    except ValueError:
        raise ValueError("created_at is not a time with an offset, such as 2026-11-28T12:00:00Z") from None
