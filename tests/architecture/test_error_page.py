"""docs/merchants/errors.md names every code that the API can answer, with its status, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from local.testkit.api import api_services
from paybridge.payments.domain.attempts import PARTIAL_APPROVAL
from paybridge.payments.domain.decline_codes import FAILURE_CODES, REFUND_DECLINED, REFUND_REVERSED, VOID_DECLINED
from paybridge.payments.domain.gateway_answers import REJECTED, Fault, Unknown
from paybridge.payments.domain.screened import FRAUD_BLOCKED, REVIEW_REJECTED
from tests.support.template import ROOT

PAGE = ROOT / "docs/merchants/errors.md"
API = ROOT / "functions/api"
STRIPE_AMOUNTS = ROOT / "layers/paybridge/paybridge/payments/domain/stripe_amounts.py"
TABLE = re.compile(r"(?:^\|.+\|\n)+", re.MULTILINE)
CODE = re.compile(r"`([a-z0-9_]+)`")


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = heading.partition(" ")[0]
    below = page.partition(f"\n{heading}\n")[2]
    assert below, f"{heading} is not on the page"
    return re.split(rf"\n#{{1,{len(level)}}} ", below)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of all tables in a text."""
    for table in TABLE.findall(text):
        _heading, _rule, *lines = table.splitlines()
        for line in lines:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def listed_problems(page: str) -> list[tuple[int, str]]:
    """The (status, code) of each problem on the page."""
    table = (cells for cells in rows(section(page, "## Every code")) if cells[0].isdigit())
    return [(int(cells[0]), code) for cells in table for code in CODE.findall(cells[1])]


def listed_codes(text: str) -> list[str]:
    """The codes in the first column of the tables in a text."""
    return [code for cells in rows(text) for code in CODE.findall(cells[0])]


def calls(files: Iterable[Path], name: str) -> Iterator[list[Any]]:
    """The positional arguments of the calls of `name`, of which those that are no constants are None."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield [each.value if isinstance(each, ast.Constant) else None for each in node.args]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document, which needs no connection."""
    return create_app(api_services(None), Logger()).openapi()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


class TestProblems:
    def test_each_is_listed_with_its_status(self, document: dict[str, Any], page: str) -> None:
        responses = (
            (int(status), response)
            for operations in document["paths"].values()
            for operation in operations.values()
            for status, response in operation["responses"].items()
        )
        documented = {(status, code) for status, response in responses for code in response.get("x-codes", ())}
        # What no route answers, and what gateways are answered, is not in the document.
        raised = {(status, code) for status, code, *_ in calls(API.rglob("*.py"), "Problem") if status and code}
        listed = listed_problems(page)
        assert sorted(listed) == sorted(documented | raised)

    def test_each_has_a_meaning_an_advice_and_says_whether_to_repeat_it(self, page: str) -> None:
        for cells in rows(section(page, "## Every code")):
            assert len(cells) == 5, cells
            assert all(cells), cells
            assert cells[4].startswith(("yes", "no", "later")), cells


class TestFields:
    def test_each_code_is_listed(self, document: dict[str, Any], page: str) -> None:
        codes = set(document["components"]["schemas"]["FieldError"]["properties"]["code"]["x-codes"])
        codes |= {code for code, *_ in calls(API.rglob("*.py"), "InvalidInput") if code}
        problems = {code for _, code in listed_problems(page)}
        # A field may be wrong in a way that is the problem's too.
        listed = listed_codes(section(page, "## Codes in `errors`"))
        assert sorted({*listed, *problems} & codes) == sorted(codes)
        assert set(listed) - problems <= codes
        assert len(listed) == len(set(listed))


class TestFailures:
    def test_each_code_of_a_payment_or_refund_is_listed(self, page: str) -> None:
        unclear = {Unknown(fault, "").failure_code for fault in Fault}
        amounts = {code for code, *_ in calls([STRIPE_AMOUNTS], "AmountRefused")}
        every = {*FAILURE_CODES, *unclear, *amounts, PARTIAL_APPROVAL, REJECTED, FRAUD_BLOCKED, REVIEW_REJECTED}
        of_payments = listed_codes(section(page, "### `failure_code` of a payment"))
        of_refunds = listed_codes(section(page, "### `failure_code` of a refund"))
        assert sorted(of_payments) == sorted(every - {REFUND_DECLINED, REFUND_REVERSED, VOID_DECLINED})
        assert sorted(of_refunds) == sorted({REFUND_DECLINED, REFUND_REVERSED, REJECTED, *unclear})
        assert f"`{VOID_DECLINED}`" in section(page, "### `failure_code` of a refund")
