"""The operators' routes of replays, as API Gateway calls them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.testkit.api import OPERATOR_KEY, Answer, ApiClient
from paybridge.access.domain.caller import Role
from paybridge.access.register import register_merchant
from paybridge.database.database import Database, Statement
from paybridge.replay.start import OPEN_MAX

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/replays"
KEYS = {role: f"replay-key-of-{role}" for role in Role}
FROM = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
TO = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
WANTED = {"consumer": "webhooks", "from": FROM, "to": TO}
_ARCHIVED = Statement("""
    INSERT INTO archive_months (month, state, checked_at, created_at, updated_at)
    SELECT month::date, 'archived', now(), now(), now() FROM unnest('{2019-02-01,2019-03-01}'::date[]) AS month
""")
_NOT_ARCHIVED = Statement("DELETE FROM archive_months WHERE month < '2019-12-01'")
_FINISH = Statement("""
    UPDATE replays SET state = 'finished', finished_at = now(), outbox_id = NULL WHERE id = :id::uuid
""")


@pytest.fixture(autouse=True)
def _no_replays(database: Database) -> None:
    database.run(Statement("TRUNCATE replays"))


def get(client: ApiClient, path: str = "", **options: Any) -> Answer:
    return client.get(PATH + path, **{"api_key": OPERATOR_KEY, **options})


def post(client: ApiClient, path: str, body: Any = None, **options: Any) -> Answer:
    headers = {"content-type": "application/json"} if body is not None else {}
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request("POST", PATH + path, body=raw, headers=headers, **{"api_key": OPERATOR_KEY, **options})


def faults(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 422, answer.body
    return sorted((fault["field"], fault["code"]) for fault in answer.json()["errors"])


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "reads", "changes"),
        [
            (Role.MERCHANT, 403, 403),
            (Role.SUPPORT, 403, 403),
            (Role.AUDITOR, 200, 403),
            (Role.OPERATOR, 200, 202),
            (Role.ADMIN, 200, 202),
        ],
    )
    def test_operators_and_admins_do_all_and_auditors_read(
        self, client: ApiClient, database: Database, role: Role, reads: int, changes: int
    ) -> None:
        register_merchant(database, name=role, api_key=KEYS[role], webhook_secret="whsec_x", role=role)
        replay_id = post(client, "", WANTED).json()["replay_id"]
        key = {"api_key": KEYS[role]}
        assert {get(client, path, **key).status for path in ("", f"/{replay_id}")} == {reads}
        assert post(client, "", WANTED, **key).status == changes
        for action in ("pause", "resume", "cancel"):
            assert post(client, f"/{replay_id}/{action}", **key).status == (403 if changes == 403 else 200)


class TestStart:
    def test_answers_with_the_replay_and_its_path(self, client: ApiClient) -> None:
        answer = post(client, "", {**WANTED, "types": ["refund.*", "refund.*"], "rate_per_second": 2.5})
        replay = answer.json()
        assert (answer.status, answer.headers["location"]) == (202, f"{PATH}/{replay['replay_id']}")
        assert replay == {
            "replay_id": replay["replay_id"],
            "consumer": "webhooks",
            "types": ["refund.*"],
            "from": replay["from"],
            "to": replay["to"],
            "rate_per_second": 2.5,
            "dry_run": False,
            "state": "running",
            "progress": 0.0,
            "position_at": replay["from"],
            "sent": 0,
            "would": None,
            "events": {},
            "problem": None,
            "created_by": replay["created_by"],
            "changed_by": None,
            "created_at": replay["created_at"],
            "finished_at": None,
        }
        assert datetime.fromisoformat(replay["from"]) == datetime.fromisoformat(FROM)
        assert get(client, f"/{replay['replay_id']}").json() == replay

    def test_a_dry_run_of_nothing_is_finished_at_once(self, client: ApiClient) -> None:
        replay = post(client, "", {**WANTED, "dry_run": True}).json()
        assert (replay["state"], replay["dry_run"], replay["would"]["send"]) == ("finished", True, 0)

    def test_without_an_end_it_ends_now(self, client: ApiClient) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        replay = post(client, "", {"consumer": "webhooks", "from": FROM}).json()
        assert before < datetime.fromisoformat(replay["to"]) <= datetime.now(UTC) + timedelta(seconds=1)

    def test_every_fault_is_named(self, client: ApiClient) -> None:
        body = {
            "consumer": "payments.new",
            "from": "yesterday",
            "types": [],
            "rate_per_second": 0,
            "dry_run": 1,
            "x": 1,
        }
        assert faults(post(client, "", body)) == [
            ("consumer", "not_an_option"),
            ("dry_run", "not_a_boolean"),
            ("from", "time_invalid"),
            ("rate_per_second", "rate_invalid"),
            ("types", "types_invalid"),
            ("x", "unknown_member"),
        ]
        assert faults(post(client, "", {})) == [("consumer", "required"), ("from", "required")]

    @pytest.mark.parametrize("value", [{}, [], "", 0, "true"])
    def test_a_dry_run_is_true_or_false(self, client: ApiClient, value: Any) -> None:
        assert faults(post(client, "", {**WANTED, "dry_run": value})) == [("dry_run", "not_a_boolean")]

    def test_types_that_the_consumer_never_gets_are_refused(self, client: ApiClient) -> None:
        types = ["payment.created", "payment.succeeded", "gateway.*", 1, "payment"]
        assert faults(post(client, "", {**WANTED, "types": types})) == [
            (f"types[{number}]", "types_invalid") for number in (0, 2, 3, 4)
        ]

    @pytest.mark.parametrize(("begin", "end"), [(TO, FROM), (FROM, FROM)], ids=["backwards", "no time"])
    def test_an_empty_range_is_refused(self, client: ApiClient, begin: str, end: str) -> None:
        assert faults(post(client, "", {**WANTED, "from": begin, "to": end})) == [("to", "range_invalid")]

    def test_a_range_may_begin_with_the_calendar(self, client: ApiClient) -> None:
        answer = post(client, "", {**WANTED, "from": "0001-01-01T00:00:00Z", "dry_run": True})
        assert (answer.status, answer.json()["from"]) == (202, "0001-01-01T00:00:00.000000+00:00")
        assert get(client, f"/{answer.json()['replay_id']}").status == 200

    def test_a_range_in_the_future_is_refused(self, client: ApiClient) -> None:
        future = [(datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (1, 2)]
        answer = post(client, "", {**WANTED, "from": future[0], "to": future[1]})
        assert faults(answer) == [("from", "range_invalid")]

    def test_too_many_at_once_are_refused(self, client: ApiClient) -> None:
        for _ in range(OPEN_MAX):
            assert post(client, "", WANTED).status == 202
        answer = post(client, "", WANTED)
        assert (answer.status, answer.json()["code"]) == (409, "too_many_replays")

    def test_months_in_the_archive_are_refused_by_name(self, client: ApiClient, database: Database) -> None:
        database.run(_ARCHIVED)
        wanted = {**WANTED, "from": "2019-02-15T00:00:00Z", "to": "2019-04-15T00:00:00Z"}
        answer = post(client, "", wanted)
        assert (answer.status, answer.json()["code"]) == (409, "months_archived")
        assert "2 months from 2019-02 to 2019-03 are archived" in answer.json()["detail"]
        assert "`paybridge archive restore 2019-02`" in answer.json()["detail"]
        database.run(_NOT_ARCHIVED)
        assert post(client, "", wanted).status == 202


class TestChange:
    def test_pause_resume_and_cancel(self, client: ApiClient) -> None:
        replay_id = post(client, "", WANTED).json()["replay_id"]
        for action, state in (
            *(("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("resume", "running")),
            *(("cancel", "canceled"), ("cancel", "canceled")),
        ):
            answer = post(client, f"/{replay_id}/{action}")
            assert (answer.status, answer.json()["state"]) == (200, state)
        answer = post(client, f"/{replay_id}/resume")
        assert (answer.status, answer.json()["code"]) == (409, "replay_ended")

    def test_a_finished_one_is_not_changed(self, client: ApiClient, database: Database) -> None:
        replay_id = post(client, "", WANTED).json()["replay_id"]
        database.run(_FINISH, id=replay_id)
        for action in ("pause", "resume", "cancel"):
            assert post(client, f"/{replay_id}/{action}").json()["code"] == "replay_ended"

    def test_an_unknown_one_is_not_found(self, client: ApiClient) -> None:
        for unknown in ("x", str(uuid4())):
            for action in ("pause", "resume", "cancel"):
                assert post(client, f"/{unknown}/{action}").json()["code"] == "replay_not_found"
            assert get(client, f"/{unknown}").json()["code"] == "replay_not_found"


class TestList:
    def test_pages_newest_first(self, client: ApiClient) -> None:
        begun = [post(client, "", WANTED).json()["replay_id"] for _ in range(3)]
        first = get(client, query={"limit": "2"}).json()
        assert ([one["replay_id"] for one in first["data"]], first["has_more"]) == ([begun[2], begun[1]], True)
        second = get(client, query={"cursor": first["next_cursor"]}).json()
        assert ([one["replay_id"] for one in second["data"]], second["has_more"]) == ([begun[0]], False)

    def test_wrong_parameters_are_refused(self, client: ApiClient) -> None:
        assert faults(get(client, query={"limit": "0", "x": "1"})) == [
            ("limit", "limit_invalid"),
            ("x", "unknown_member"),
        ]
        assert get(client, query={"cursor": "x"}).status == 422
