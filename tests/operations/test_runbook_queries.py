"""The database accepts the queries of the runbooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from pg8000.native import Connection

from local.servers.postgres import connect
from tests.support.template import ROOT

pytestmark = pytest.mark.integration

SPANS = re.findall(r"`([^`]+)`", (ROOT / "docs/operators/runbooks.md").read_text(encoding="utf-8"))
QUERIES = [" ".join(span.split()) for span in SPANS if span.startswith(("SELECT ", "SHOW "))]


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Connection]:
    with closing(connect(database_url)) as connection:
        yield connection


def test_there_are_queries() -> None:
    assert len(QUERIES) > 8


# What the operator fills in: the id of an operation, and the process.
ID = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("query", [query for query in QUERIES if "(pid)" not in query])
def test_a_query_is_answered(connection: Connection, query: str) -> None:
    connection.run(query.replace("'…'", f"'{ID}'"))
    assert connection.columns
