"""The migrate function as CloudFormation and an operator call it, with a real database and a real URL."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local.servers.processes import free_port
from local.testkit import servers
from migrate import custom_resource
from migrate import handler as migrate_function
from paybridge import wiring
from paybridge.core.errors import DatabaseUnavailable, PaybridgeError, SecretUnavailable, Unavailable
from paybridge.database.database import Database, Statement
from paybridge.database.migrations import HEAD
from paybridge.runners import migrate as runner
from paybridge.wiring.settings import Settings

pytestmark = pytest.mark.integration

TABLES = Statement("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
REVISION = Statement("SELECT version_num FROM alembic_version")


@dataclass(slots=True)
class Answers:
    """The answers that arrived at a URL like those of CloudFormation, with their headers."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    # The statuses of the first responses. All later ones are 200.
    statuses: list[int] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Answers]:
    """A URL that accepts answers."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = answers.statuses.pop(0) if answers.statuses else 200
            if status == 200:
                answers.bodies.append(json.loads(body))
                answers.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        answers.url = f"http://127.0.0.1:{server.server_address[1]}/answer?signature=a%2Fb"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield answers
        server.shutdown()
        thread.join()


@pytest.fixture
def answers() -> Iterator[Answers]:
    with listening() as answers:
        yield answers


@pytest.fixture
def database(postgres_server: servers.Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty database, to which the function is wired."""
    url = postgres_server.fresh_database(migrated=False)
    with closing(Database(servers.address_of(url))) as database:
        monkeypatch.setattr(wiring, "database", lambda *_: database)
        # No administrator: the role exists.
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"DATABASE_SECRET_ID": "functions"}))
        yield database
    postgres_server.drop_database(url)


class Context:
    """Lambda's context, with the remaining seconds."""

    def __init__(self, seconds: float = 900.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


def event(answers: Answers, kind: str, revision: str = HEAD, **more: Any) -> dict[str, Any]:
    """The event that CloudFormation sends for the resource `Migration`."""
    return {
        "RequestType": kind,
        "ResponseURL": answers.url,
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/paybridge-dev/1",
        "RequestId": "request-1",
        "ResourceType": "Custom::Migration",
        "LogicalResourceId": "Migration",
        "ResourceProperties": {"ServiceToken": "arn", "ServiceTimeout": "960", "Revision": revision},
        **more,
    }


def call(event: dict[str, Any], seconds: float = 900.0) -> Any:
    return migrate_function.handler(event, Context(seconds))  # type: ignore[arg-type]


class TestCustomResource:
    def test_create_migrates_an_empty_database_and_answers(self, database: Database, answers: Answers) -> None:
        call(event(answers, "Create"))
        assert database.run(REVISION) == [[HEAD]]
        assert answers.bodies == [
            {
                "Status": "SUCCESS",
                "Data": {"Revision": HEAD},
                "PhysicalResourceId": "Migration-of-the-schema",
                "LogicalResourceId": "Migration",
                "RequestId": "request-1",
                "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/paybridge-dev/1",
            }
        ]

    def test_the_answer_has_no_content_type_because_the_url_is_signed_without_one(
        self, database: Database, answers: Answers
    ) -> None:
        call(event(answers, "Create"))
        assert answers.headers[0]["content-type"] == ""

    def test_update_keeps_the_physical_id_so_that_nothing_is_deleted(
        self, database: Database, answers: Answers
    ) -> None:
        call(event(answers, "Update", PhysicalResourceId="given-before"))
        assert database.run(REVISION) == [[HEAD]]
        assert answers.bodies[0]["PhysicalResourceId"] == "given-before"

    def test_a_rollback_to_an_older_revision_changes_nothing(self, database: Database, answers: Answers) -> None:
        call(event(answers, "Create"))
        call(event(answers, "Update", "0000", PhysicalResourceId="given-before"))
        assert database.run(REVISION) == [[HEAD]]
        assert [body["Status"] for body in answers.bodies] == ["SUCCESS", "SUCCESS"]
        assert answers.bodies[1]["Data"] == {"Revision": HEAD}

    def test_a_database_ahead_of_the_code_is_fine(self, database: Database, answers: Answers) -> None:
        call({})
        database.run(Statement("UPDATE alembic_version SET version_num = '9999'"))
        call(event(answers, "Update"))
        assert database.run(REVISION) == [["9999"]]
        assert (answers.bodies[0]["Status"], answers.bodies[0]["Data"]) == ("SUCCESS", {"Revision": "9999"})

    def test_delete_changes_nothing_and_answers(self, database: Database, answers: Answers) -> None:
        call(event(answers, "Create"))
        tables = database.run(TABLES)
        call(event(answers, "Delete", PhysicalResourceId="given-before"))
        assert database.run(TABLES) == tables
        assert answers.bodies[1]["Status"] == "SUCCESS"

    def test_a_revision_that_the_package_lacks_fails_and_says_what_to_do(
        self, database: Database, answers: Answers
    ) -> None:
        call(event(answers, "Update", "9998"))
        assert database.run(TABLES) == [[0]]
        assert answers.bodies[0]["Status"] == "FAILED"
        assert "build the package again" in answers.bodies[0]["Reason"]

    def test_a_refused_migration_fails_with_the_error_of_the_database(
        self, database: Database, answers: Answers
    ) -> None:
        # Another application's table with the name of one that the first migration creates.
        database.run(Statement("CREATE TABLE merchants (id int)"))
        call(event(answers, "Create"))
        assert answers.bodies[0]["Status"] == "FAILED"
        assert answers.bodies[0]["Reason"] == '42P07: relation "merchants" already exists'
        assert database.run(TABLES) == [[1]]

    def test_an_unexpected_error_is_answered_without_its_text(
        self, database: Database, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("row 4111111111111111")

        monkeypatch.setattr(runner, "migrate_schema", fail)
        call(event(answers, "Create"))
        assert answers.bodies[0]["Reason"] == "RuntimeError; the log says where."

    def test_retries_until_everything_is_available(
        self, database: Database, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("time.sleep", pauses.append)
        away = iter([DatabaseUnavailable("Starting."), SecretUnavailable("No right yet.")])

        def connect(*_: Any) -> Database:
            for error in away:
                raise error
            return database

        monkeypatch.setattr(wiring, "database", connect)
        call(event(answers, "Create"))
        assert len(pauses) == 2
        assert [body["Status"] for body in answers.bodies] == ["SUCCESS"]

    def test_an_outage_that_lasts_is_answered_with_its_name(
        self, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> None:
            raise DatabaseUnavailable("Cannot connect to the database at nowhere:5432.")

        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setattr(runner, "migrate", fail)
        call(event(answers, "Create"))
        assert answers.bodies[0]["Reason"] == "Cannot connect to the database at nowhere:5432."

    def test_a_missing_setting_is_answered(self, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DATABASE_SECRET_ID", raising=False)
        wiring.database.cache_clear()
        wiring.environment.cache_clear()
        call(event(answers, "Create"))
        assert answers.bodies[0]["Reason"] == "The environment variable DATABASE_SECRET_ID is not set."

    def test_slow_work_is_answered_before_lambda_ends_it(
        self, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migrate_function, "RESERVE_SECONDS", 0.9)
        monkeypatch.setattr(migrate_function, "_provide", lambda _: time.sleep(1) or {"Revision": HEAD})
        call(event(answers, "Create"), seconds=1.0)
        # The work that finished later sent no second answer.
        assert [(body["Status"], body["Reason"]) for body in answers.bodies] == [
            ("FAILED", "It was not done after 0 s.")
        ]

    def test_an_answer_refused_for_a_moment_is_sent_again(self, database: Database, answers: Answers) -> None:
        answers.statuses = [503]
        call(event(answers, "Create"))
        assert [body["Status"] for body in answers.bodies] == ["SUCCESS"]

    def test_an_unreachable_url_is_reported_without_its_signature(
        self, database: Database, answers: Answers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(custom_resource, "ANSWER_TRIES", False)
        answers.url = f"http://127.0.0.1:{free_port()}/answer?signature=s3cr3t"
        with pytest.raises(Unavailable, match="does not accept the answer: NewConnectionError") as raised:
            call(event(answers, "Create"))
        assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))

    def test_a_long_reason_is_cut_to_the_limit_of_cloudformation(self, answers: Answers) -> None:
        def fail(_: Any) -> dict[str, str]:
            raise PaybridgeError("x" * 10_000)

        custom_resource.serve(event(answers, "Create"), 60, fail)
        assert len(json.dumps(answers.bodies[0])) < 4096


class TestByHand:
    def test_migrates_to_the_newest_revision_and_returns_it(self, database: Database) -> None:
        assert call({}) == {"Revision": HEAD}
        assert database.run(REVISION) == [[HEAD]]
        assert call({}) == {"Revision": HEAD}

    def test_fails_when_the_database_refuses(self, database: Database) -> None:
        database.run(Statement("CREATE TABLE merchants (id int)"))
        with pytest.raises(PaybridgeError, match="already exists"):
            call({})
