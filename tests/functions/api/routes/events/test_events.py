"""List, read, wait for and stream events."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from local.testkit.api import (
    MERCHANT_KEY,
    OPERATOR_KEY,
    OTHER_KEY,
    Answer,
    ApiClient,
    api_services,
    demo_merchant_id,
)
from local.testkit.payments import authorized_payment, captured_payment, new_payment
from paybridge.core.events import PAYMENT_CREATED, PAYMENT_SUCCEEDED
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import payment_event
from paybridge.payments.read import read_payment
from tests.support.feed import await_horizon
from tests.support.openapi import streamed_events

pytestmark = pytest.mark.integration

EVENTS = "/api/v1/events"
STREAM = f"{EVENTS}/stream"
_TAKE_NUMBER = Statement("SELECT pg_current_xact_id()::text")
_TAKE_ALL = Statement("UPDATE api_waits SET ends_at = now() + interval '1 minute'")
_FREE_ALL = Statement("UPDATE api_waits SET ends_at = '-infinity'")


def stream_of(payment_id: object) -> str:
    return f"/api/v1/payments/{payment_id}/stream"


def emit(database: Database, payment_id: UUID, type_: str = PAYMENT_SUCCEEDED) -> UUID:
    """Write an event about the payment as it is; return its id."""
    payment = read_payment(database, None, payment_id)
    assert payment is not None
    event = payment_event(Uuid7Ids().new(), type_, payment, payment.updated_at)
    with database.transaction() as transaction:
        outbox.add(transaction, [event])
    return event.id


def followed(client: ApiClient, **query: str) -> list[dict[str, Any]]:
    """Everything that the feed shows, read by its cursor."""
    events: list[dict[str, Any]] = []
    page = {"has_more": True, "next_cursor": None}
    while page["has_more"]:
        after = {"after": page["next_cursor"]} if page["next_cursor"] else {}
        page = client.get(EVENTS, query={"limit": "2", **query, **after}).json()
        events += page["data"]
    return events


def frames(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream with their ids."""
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    return [(frame["id"], json.loads(frame["data"])) for frame in streamed_events(answer.body.decode())]


@pytest.fixture
def payment_id(database: Database) -> UUID:
    """A pending payment of the demo merchant, whose first event the feed shows."""
    id_ = new_payment(database, demo_merchant_id(database))
    await_horizon(database)
    return id_


@pytest.fixture
def later(database_address: DatabaseAddress) -> Iterator[Database]:
    """A connection for what happens while a request waits."""
    with closing(Database(database_address)) as connection:
        yield connection


class TestList:
    def test_shows_events_oldest_first(self, client: ApiClient, payment_id: UUID) -> None:
        [event] = followed(client, payment_id=str(payment_id))
        assert event.keys() == {"event_id", "type", "created_at", "subject", "sequence", "data"}
        assert (event["type"], event["sequence"]) == (PAYMENT_CREATED, 1)
        assert event["subject"] == {"type": "payment", "id": str(payment_id)}
        assert event["data"]["status"] == "pending"
        assert client.get(f"{EVENTS}/{event['event_id']}").json() == event

    def test_goes_on_with_what_did_not_exist_yet(self, client: ApiClient, database: Database, payment_id: UUID) -> None:
        end = client.get(EVENTS, query={"payment_id": str(payment_id)}).json()
        assert (len(end["data"]), end["has_more"]) == (1, False)
        nothing = client.get(EVENTS, query={"after": end["next_cursor"], "payment_id": str(payment_id)}).json()
        assert nothing == {"data": [], "has_more": False, "next_cursor": end["next_cursor"]}
        event_id = emit(database, payment_id)
        await_horizon(database)
        after = client.get(EVENTS, query={"after": nothing["next_cursor"], "payment_id": str(payment_id)}).json()
        assert [event["event_id"] for event in after["data"]] == [str(event_id)]

    def test_of_another_merchant_is_not_shown(self, client: ApiClient, payment_id: UUID) -> None:
        query = {"payment_id": str(payment_id)}
        [event] = client.get(EVENTS, query=query).json()["data"]
        others = client.get(EVENTS, query=query, api_key=OTHER_KEY).json()
        assert others == {"data": [], "has_more": False, "next_cursor": None}
        assert client.get(f"{EVENTS}/{event['event_id']}", api_key=OTHER_KEY).status == 404
        cursor = client.get(EVENTS, query={"after": event["event_id"]}, api_key=OTHER_KEY)
        assert (cursor.status, cursor.json()["code"]) == (422, "cursor_invalid")
        assert client.get(EVENTS, query=query, api_key=OPERATOR_KEY).json()["data"] == [event]
        assert client.get(f"{EVENTS}/{event['event_id']}", api_key=OPERATOR_KEY).json() == event

    def test_takes_every_time_of_the_calendar(self, client: ApiClient, payment_id: UUID) -> None:
        query = {"payment_id": str(payment_id)}
        for times in (
            {"created_from": "0001-01-01T00:00:00Z"},
            {"created_to": "9999-12-31T23:59:59Z"},
            {"created_from": "0001-01-01T00:00:00+14:00", "created_to": "9999-12-31T23:59:59-14:00"},
        ):
            assert len(client.get(EVENTS, query=query | times).json()["data"]) == 1

    def test_finds_types_by_patterns(self, client: ApiClient, database: Database, payment_id: UUID) -> None:
        emit(database, payment_id)
        await_horizon(database)
        for pattern, types in (
            ("payment.*", [PAYMENT_CREATED, PAYMENT_SUCCEEDED]),
            ("payment.succeeded", [PAYMENT_SUCCEEDED]),
            ("refund.*, payment.created", [PAYMENT_CREATED]),
            ("refund.*", []),
        ):
            assert [one["type"] for one in followed(client, payment_id=str(payment_id), type=pattern)] == types

    @pytest.mark.parametrize(
        ("query", "code", "field"),
        [
            ({"type": "payment.lost"}, "event_type_unknown", "type"),
            ({"payment_id": "x"}, "text_malformed", "payment_id"),
            ({"limit": "101"}, "limit_invalid", "limit"),
            ({"created_from": "yesterday"}, "time_invalid", "created_from"),
            ({"foo": "1"}, "unknown_member", "foo"),
            ({"after": str(uuid.UUID(int=1)), "cursor": str(uuid.UUID(int=1))}, "cursor_repeated", "cursor"),
        ],
    )
    def test_refuses_what_it_does_not_know(
        self, client: ApiClient, query: dict[str, str], code: str, field: str
    ) -> None:
        answer = client.get(EVENTS, query=query)
        assert answer.status == 422
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]

    @pytest.mark.parametrize("after", ["x", "00000000-0000-0000-0000-000000000001", "123"])
    def test_refuses_a_cursor_that_is_no_event(self, client: ApiClient, after: str) -> None:
        for name in ("after", "cursor"):
            answer = client.get(EVENTS, query={name: after})
            assert (answer.status, answer.json()["code"]) == (422, "cursor_invalid")


class TestWait:
    def test_answers_when_there_is_an_event(
        self, client: ApiClient, database: Database, later: Database, payment_id: UUID
    ) -> None:
        end = client.get(EVENTS, query={"payment_id": str(payment_id)}).json()["next_cursor"]
        timer = threading.Timer(0.3, emit, (later, payment_id))
        timer.start()
        started_at = time.monotonic()
        query = {"after": end, "payment_id": str(payment_id)}
        answer = client.get(EVENTS, query=query, headers={"prefer": "wait=20"})
        timer.join()
        assert [event["type"] for event in answer.json()["data"]] == [PAYMENT_SUCCEEDED]
        assert answer.headers["preference-applied"] == "wait=20"
        assert time.monotonic() - started_at < 15

    def test_ends_without_an_event(self, client: ApiClient, payment_id: UUID) -> None:
        end = client.get(EVENTS, query={"payment_id": str(payment_id)}).json()["next_cursor"]
        query = {"after": end, "payment_id": str(payment_id)}
        answer = client.get(EVENTS, query=query, headers={"prefer": "wait=1"})
        assert answer.json() == {"data": [], "has_more": False, "next_cursor": end}

    def test_is_bounded_over_all_requests(self, client: ApiClient, database: Database, payment_id: UUID) -> None:
        end = client.get(EVENTS, query={"payment_id": str(payment_id)}).json()["next_cursor"]
        database.run(_TAKE_ALL)
        try:
            query = {"after": end, "payment_id": str(payment_id)}
            answer = client.get(EVENTS, query=query, headers={"prefer": "wait=20"})
            streamed = client.get(STREAM, query=query)
        finally:
            database.run(_FREE_ALL)
        assert answer.json()["data"] == []
        assert "preference-applied" not in answer.headers
        # A client that comes back at once would find the same.
        assert streamed.body.startswith(b"retry: 5000\n\n")


class TestStream:
    def test_has_the_events_after_the_last(self, client: ApiClient, database: Database, payment_id: UUID) -> None:
        event_id = emit(database, payment_id)
        await_horizon(database)
        query = {"payment_id": str(payment_id)}
        shown = frames(client.get(STREAM, query=query))
        assert [id_ for id_, _ in shown] == [event["event_id"] for _, event in shown]
        assert [event for _, event in shown] == followed(client, **query)
        resumed = client.get(STREAM, query=query, headers={"Last-Event-ID": shown[0][0]})
        assert frames(resumed) == [(str(event_id), shown[1][1])]
        assert resumed.body.startswith(b"retry: 250\n\n")
        assert resumed.headers["cache-control"] == "no-store"

    def test_waits_for_the_first_event(self, client: ApiClient, later: Database, payment_id: UUID) -> None:
        query = {"payment_id": str(payment_id)}
        [(last, _)] = frames(client.get(STREAM, query=query))
        timer = threading.Timer(0.3, emit, (later, payment_id))
        timer.start()
        # An EventSource repeats its URL, so the header is newer.
        answer = client.get(STREAM, query={**query, "after": last}, headers={"Last-Event-ID": last})
        timer.join()
        assert [event["type"] for _, event in frames(answer)] == [PAYMENT_SUCCEEDED]

    def test_moves_the_cursor_past_what_does_not_match(
        self, client: ApiClient, payment_id: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.routes.events.streams.WAIT_SECONDS_MAX", 0.1)
        query = {"payment_id": str(payment_id)}
        [(last, _)] = frames(client.get(STREAM, query=query))
        answer = client.get(STREAM, query={**query, "type": "refund.*"})
        assert answer.body.decode() == f"retry: 250\n\nid: {last}\n\n: nothing came\n\n"
        again = client.get(STREAM, query={**query, "type": "refund.*"}, headers={"Last-Event-ID": last})
        assert again.body == b"retry: 250\n\n: nothing came\n\n"

    def test_shows_no_more_than_fits_into_an_answer(
        self, client: ApiClient, database: Database, payment_id: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        emit(database, payment_id)
        await_horizon(database)
        monkeypatch.setattr("api.routes.events.streams.count_fitting", lambda views: min(1, len(views)))
        query = {"payment_id": str(payment_id)}
        [(first, _)] = frames(client.get(STREAM, query=query))
        [(second, event)] = frames(client.get(STREAM, query=query, headers={"Last-Event-ID": first}))
        assert (second, event["type"]) == (event["event_id"], PAYMENT_SUCCEEDED)


class TestStreamOfPayment:
    def test_ends_once_the_payment_is_final(self, client: ApiClient, database: Database) -> None:
        payment_id = captured_payment(database, demo_merchant_id(database))
        event_id = emit(database, payment_id)
        await_horizon(database)
        shown = frames(client.get(stream_of(payment_id)))
        assert [event["type"] for _, event in shown] == [PAYMENT_CREATED, PAYMENT_SUCCEEDED]
        over = client.get(stream_of(payment_id), headers={"Last-Event-ID": str(event_id)})
        assert (over.status, over.body) == (204, b"")

    def test_of_a_final_payment_waits_for_events_that_are_not_shown_yet(
        self, client: ApiClient, database: Database, later: Database
    ) -> None:
        payment_id = captured_payment(database, demo_merchant_id(database))
        await_horizon(database)
        [(first, _)] = frames(client.get(stream_of(payment_id)))
        has_begun = threading.Event()

        def hold_up() -> None:
            with later.transaction() as transaction:
                transaction.run(_TAKE_NUMBER)
                has_begun.set()
                time.sleep(0.3)

        writer = threading.Thread(target=hold_up)
        writer.start()
        has_begun.wait()
        event_id = emit(database, payment_id)
        answer = client.get(stream_of(payment_id), headers={"Last-Event-ID": first})
        writer.join()
        assert [id_ for id_, _ in frames(answer)] == [str(event_id)]

    def test_goes_on_while_money_may_move(
        self, client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.routes.events.streams.WAIT_SECONDS_MAX", 0.1)
        payment_id = authorized_payment(database, demo_merchant_id(database))
        await_horizon(database)
        [(last, _)] = frames(client.get(stream_of(payment_id)))
        answer = client.get(stream_of(payment_id), headers={"Last-Event-ID": last})
        assert answer.body == b"retry: 250\n\n: nothing came\n\n"

    def test_of_another_merchant_is_not_found(self, client: ApiClient, payment_id: UUID) -> None:
        for answer in (
            client.get(stream_of(payment_id), api_key=OTHER_KEY),
            client.get(stream_of(uuid.uuid4())),
            client.get(stream_of("x")),
        ):
            assert (answer.status, answer.json()["code"]) == (404, "payment_not_found")
        assert client.get(stream_of(payment_id), api_key=OPERATOR_KEY).status == 200

    def test_refuses_other_parameters(self, client: ApiClient, payment_id: UUID) -> None:
        assert client.get(stream_of(payment_id), query={"type": "payment.*"}).status == 422


class TestWithoutBuffering:
    """Under an ASGI server the same routes stream: events arrive while the answer goes on."""

    def test_events_arrive_while_the_answer_goes_on(
        self, database: Database, database_address: DatabaseAddress, payment_id: UUID
    ) -> None:
        async def follow() -> list[bytes]:
            sent: list[bytes] = []
            done = asyncio.Event()

            async def receive() -> dict[str, Any]:
                await done.wait()
                return {"type": "http.disconnect"}

            async def send(message: dict[str, Any]) -> None:
                if body := message.get("body"):
                    sent.append(body)
                    if b"data" in body and len(sent) == 2:
                        emit(database, payment_id)
                    if PAYMENT_SUCCEEDED.encode() in body:
                        done.set()

            with closing(Database(database_address)) as connection:
                logger = Logger(service="api", level="CRITICAL")
                app = create_app(api_services(connection), logger)
                await app(scope(f"payment_id={payment_id}"), receive, send)
            return sent

        retry, first, *others = asyncio.run(follow())
        assert retry == b"retry: 250\n\n"
        assert PAYMENT_CREATED.encode() in first
        assert PAYMENT_SUCCEEDED.encode() in b"".join(others)


def scope(query: str) -> dict[str, Any]:
    """A request for the stream as an ASGI server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": STREAM,
        "raw_path": STREAM.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"x-api-key", MERCHANT_KEY.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
