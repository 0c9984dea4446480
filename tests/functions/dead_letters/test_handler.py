"""The dead-letters function as Lambda calls it, with a real database."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from dead_letters import handler as dead_letters
from local.testkit.rmq import rmq_event
from paybridge import wiring
from paybridge.core.errors import DatabaseUnavailable, MalformedMessage
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from tests.support.dead_letters import rows

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def database(database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        yield database


def call(event: dict[str, Any]) -> dict[str, int]:
    return dead_letters.handler(event, None)  # type: ignore[arg-type]


def dead(body: bytes, **headers: str) -> dict[str, Any]:
    event = rmq_event("payments.dead", [body], ["message-1"])
    (message,) = event["rmqMessagesByQueue"]["payments.dead::/"]
    for name, value in headers.items():
        message["basicProperties"]["headers"][name.replace("_", "-")] = {"bytes": list(value.encode())}
    return event


class TestHandler:
    def test_each_dead_letter_is_recorded_and_logged_in_one_readable_line(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        event = dead(b"no json", x_paybridge_reason="not JSON", x_paybridge_queue="payments.new")
        assert call(event) == {"messages": 1, "recorded": 1}
        (row,) = rows(database)
        (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert line.getMessage() == "dead letter from payments.new: not JSON"
        assert vars(line) | {"dead_letter_id": row["id"], "count": 1, "fingerprint": row["fingerprint"]} == vars(line)
        assert "no json" not in str(vars(line))

    def test_a_card_number_from_a_sender_is_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        number = "4111 1111 1111 1111"
        call(dead(number.encode(), x_paybridge_reason=f"bad {number}", x_paybridge_queue=number, type=number))
        assert "4111 1111" not in str([vars(record) for record in caplog.records])

    def test_a_batch_that_is_not_base64_is_kept(self, database: Database) -> None:
        event = dead(b"")
        event["rmqMessagesByQueue"]["payments.dead::/"][0]["data"] = "%%%"
        assert call(event)["recorded"] == 1
        assert base64.b16encode(b"%%%").decode() in {row["body"][2:].upper() for row in rows(database)}

    def test_a_database_that_is_away_returns_the_whole_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = Database(DatabaseAddress("127.0.0.1", 1, "none", "none", "none"))
        monkeypatch.setattr(wiring, "database", lambda: nowhere)
        monkeypatch.setattr(dead_letters, "DATABASE_PATIENCE_SECONDS", 0.5)
        with pytest.raises(DatabaseUnavailable):
            call(dead(b"x"))

    def test_an_invocation_without_a_batch_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            call({"Records": []})
