"""Breaks as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime

from paybridge.reconciliation.domain.breaks import StoredBreak, break_view

_TEXTS = (
    *("break_id", "type", "leg", "direction", "state", "resolution", "gateway_name", "kind"),
    *("operation_id", "payment_id", "merchant_id"),
)
_SIDES = ("gateway", "payments", "ledger")
_MEMBERS = ("amount", "currency", "status", "id", "at")
COLUMNS = (
    *_TEXTS,
    *(f"{side}_{member}" for side in _SIDES for member in _MEMBERS),
    *("difference", "age_seconds", "found_at", "note", "actor", "changed_at"),
)
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(breaks: Iterable[StoredBreak], now: datetime) -> Iterator[str]:
    """Return the header and one line for each break, without line ends.

    The difference is as `EUR -10.00`, several currencies separated by a semicolon. A text that a spreadsheet would take
    for a formula has an apostrophe before it.
    """
    yield ",".join(COLUMNS)
    for stored in breaks:
        view = break_view(stored, now)
        cells = [view[name] for name in _TEXTS]
        for side in _SIDES:
            said = view[side] or {}
            cells += [said.get(member) for member in _MEMBERS]
        difference = "; ".join(f"{currency} {amount}" for currency, amount in view["difference"].items())
        cells += [
            difference,
            view["age_seconds"],
            *(view[name] for name in ("found_at", "note", "actor", "changed_at")),
        ]
        yield _line(cells)


def _line(cells: Iterable[object]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow([_shown(cell) for cell in cells])
    return file.getvalue()


def _shown(cell: object) -> str:
    text = "" if cell is None else " ".join(str(cell).splitlines())
    return f"'{text}" if text.startswith(_FORMULA) else text
