"""Statements in CSV, as programs and spreadsheets write them, are read exactly or refused with the line."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.money import EXPONENTS, format_places
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import LineStatus
from paybridge.reconciliation.csv_statement import StatementInvalid, parse_statement

ID = UUID("01a1fd50-1a0a-70e7-9753-804a71418b4e")
HEADER = "id,operation_id,kind,amount,currency,status,created_at"
NO_TIME = "created_at is not a time with an offset, such as 2026-11-28T12:00:00Z"
LACKING = "the header lacks currency, created_at, operation_id or reference, amount or amount_minor, one of the two"
ROW = f"ch_1,{ID},charge,100.50,EUR,succeeded,2026-11-28T12:00:00Z"


def one(row: str, header: str = HEADER) -> object:
    (line,) = parse_statement(f"{header}\n{row}\n".encode())
    return line


def refused(content: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(StatementInvalid) as refusal:
        parse_statement(content.encode() if isinstance(content, str) else content)
    return [(each.line, each.error) for each in refusal.value.errors]


def test_a_line_is_read() -> None:
    (line,) = parse_statement(f"{HEADER}\n{ROW}".encode())
    assert (line.id, line.operation_id, line.kind, line.amount_minor) == ("ch_1", ID, Kind.CHARGE, 10_050)
    assert (line.currency, line.status, line.at) == (
        "EUR",
        LineStatus.SUCCEEDED,
        datetime(2026, 11, 28, 12, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\r\n{ROW}\r\n".encode(),
        f"{HEADER}\n{ROW}".replace(",", ";").encode(),
        f"{HEADER}\n{ROW}".replace(",", "\t").encode(),
        f"{HEADER}\n{ROW}\n\n\n".encode(),
        f"{HEADER}\r{ROW}\r".encode(),
        f"\ufeff{HEADER}\n{ROW}".encode("utf-16-le"),
        "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in (HEADER, ROW)).encode(),
        f"{HEADER.upper()},Comment\n{ROW},hello".encode(),
    ],
    ids=["BOM and CRLF", "semicolons", "tabs", "empty rows", "CR", "UTF-16", "quotes", "other columns"],
)
def test_every_way_of_writing_it_is_the_same(content: bytes) -> None:
    assert parse_statement(content) == parse_statement(f"{HEADER}\n{ROW}".encode())


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ('"1,234.50"', "EUR", 123_450),
        ('"12,345,678.90"', "EUR", 1_234_567_890),
        ("0.01", "EUR", 1),
        ("0.00", "EUR", 0),
        ("1234", "JPY", 1234),
        ('"1,234"', "JPY", 1234),
        ("1.234", "KWD", 1234),
        ("90071992547409.93", "EUR", 9_007_199_254_740_993),
    ],
)
def test_amounts_are_exact(amount: str, currency: str, minor: int) -> None:
    line = one(f"ch_1,{ID},charge,{amount},{currency},,2026-11-28T12:00:00Z")
    assert line.amount_minor == minor  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "amount",
    [
        '"1.234,50"',
        '"100,50"',
        "100.5",
        "100",
        "-1.00",
        "1e3",
        "1.005",
        '"1,23.45"',
        '"12,34,567.00"',
        "",
        "NaN",
        "١.٠٠",
    ],
)
def test_what_could_mean_something_else_is_refused(amount: str) -> None:
    ((line, error),) = refused(f"{HEADER}\nch_1,{ID},charge,{amount},EUR,,2026-11-28T12:00:00Z")
    assert line == 2
    assert error.startswith("amount")


def test_every_faulty_row_is_named_and_nothing_is_read() -> None:
    rows = [ROW, ROW.replace("charge", "gift"), ROW, ROW.replace("EUR", "EU"), ROW.replace("12:00:00Z", "noon"), "a,b"]
    assert refused("\n".join([HEADER, *rows])) == [
        (3, "kind must be one of charge, authorization, capture, void, refund, refund_reversal"),
        (5, "currency is not an ISO 4217 code with minor units"),
        (6, "created_at is not a time with an offset, such as 2026-11-28T12:00:00Z"),
        (7, "it has 2 cells and the header 7"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", (1, "the file is empty, and a header is needed")),
        ("id,kind\n", (1, LACKING)),
        (f"{HEADER},id\n", (1, "the header names a column twice")),
        (f'{HEADER}\n"ch_1,{ID}', (2, "the row is not valid CSV (unexpected end of data)")),
        (b"\xff\x80id", (1, "it is not UTF-8")),
        # A row of another line than the first, far behind it.
        (f"{HEADER}\n{'x' * 100}\n".encode() + b"\xe9\n", (3, "it is not UTF-8")),
        (b"\xef\xbb\xbf" + f"{HEADER}\n".encode() + b"\xe9\n", (2, "it is not UTF-8")),
        (f"{HEADER}\n".encode("utf-16") + b"\x00", (2, "it is not UTF-16")),
        (f"{HEADER}\n{ROW.replace('Z', '')}", (2, NO_TIME)),
    ],
    ids=["empty", "no column", "column twice", "open quote", "bytes", "late bytes", "marked", "UTF-16", "no offset"],
)  # fmt: skip
def test_a_file_that_is_none(content: str | bytes, expected: tuple[int, str]) -> None:
    assert refused(content) == [expected]


def test_a_row_of_several_lines_is_named_by_its_last() -> None:
    assert refused(f'{HEADER},note\n{ROW},"two\nlines"\n{ROW.replace("charge", "x")},n')[0][0] == 4


def test_a_reference_of_another_system_is_no_operation_of_ours() -> None:
    line = one("ch_1,order-77,charge,1.00,EUR,,2026-11-28T12:00:00Z")
    assert line.operation_id is None  # type: ignore[attr-defined]


def test_a_charge_may_name_its_payment_and_a_refund_may_not() -> None:
    header = HEADER.replace("operation_id", "reference")
    assert one(ROW, header).operation_id == ID  # type: ignore[attr-defined]
    assert one(ROW.replace("charge", "refund"), header).operation_id is None  # type: ignore[attr-defined]


_CURRENCIES = st.sampled_from(sorted(code for code, places in EXPONENTS.items() if places is not None))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20),
            st.integers(0, 10**15),
            _CURRENCIES,
            st.sampled_from(list(Kind)),
        ),
        max_size=20,
    ),
    st.sampled_from(",;\t"),
    st.booleans(),
)  # fmt: skip
def test_what_is_written_comes_back(rows: list[tuple[str, int, str, Kind]], separator: str, grouped: bool) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerow(HEADER.split(","))
    for id_, minor, currency, kind in rows:
        places = EXPONENTS[currency] or 0
        text = format_places(minor, places)
        whole, point, fraction = text.partition(".")
        amount = f"{int(whole):,}{point}{fraction}" if grouped else text
        writer.writerow([id_, ID, kind, amount, currency, "", "2026-11-28T12:00:00+01:00"])
    found = parse_statement(file.getvalue().encode())
    assert [(each.id, each.amount_minor, each.currency, each.kind) for each in found] == [
        (id_, minor, currency, kind) for id_, minor, currency, kind in rows
    ]
