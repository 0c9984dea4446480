"""The example of a receiver: whatever comes in whatever order, it ends in the true state."""

from __future__ import annotations

import base64
import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.receiver.receiver import BODY_BYTES_MAX, Receiver, server
from paybridge.core.clock import SystemClock
from paybridge.core.standard_webhooks import parse_secret
from paybridge.webhooks.domain.webhook import build_body, signed_headers

SECRET = "whsec_" + base64.b64encode(b"the first secret of a test").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"the second secret of a test").decode()
# PAYBRIDGE_RECEIVER_EXAMPLES makes the property test longer.
EXAMPLES = int(os.environ.get("PAYBRIDGE_RECEIVER_EXAMPLES", "40"))


class Sent(NamedTuple):
    """A webhook with its id."""

    id: str
    subject: tuple[str, str]
    sequence: int
    body: bytes


def webhook(subject: tuple[str, str], sequence: int, status: str = "succeeded") -> Sent:
    kind, id_ = subject
    data = {f"{kind}_id": id_, "status": status}
    body = build_body(f"{kind}.{status}", "2026-04-17T12:00:00.000000+00:00", data, sequence)
    return Sent(str(uuid.uuid4()), subject, sequence, body)


def headers(sent: Sent, *secrets: str) -> dict[str, str]:
    """Sign an attempt, as each one is signed when it is made."""
    keys = [parse_secret(secret) for secret in secrets or (SECRET,)]
    return signed_headers(keys, sent.id, SystemClock().now(), sent.body)


@contextmanager
def receiving(*secrets: str) -> Iterator[Receiver]:
    with TemporaryDirectory() as folder:
        yield Receiver(str(Path(folder) / "receiver.db"), secrets or (SECRET,))


@st.composite
def histories(draw: st.DrawFn) -> list[Sent]:
    """The events of some payments and refunds, in the order in which they happened."""
    sent = []
    for kind in draw(st.lists(st.sampled_from(["payment", "refund"]), min_size=1, max_size=4)):
        subject = (kind, str(uuid.uuid4()))
        count = draw(st.integers(1, 5))
        statuses = draw(st.lists(st.sampled_from(["created", "succeeded", "failed"]), min_size=count, max_size=count))
        sent += [webhook(subject, number, status) for number, status in enumerate(statuses, 1)]
    return sent


def true_state(history: list[Sent]) -> dict[tuple[str, str], Any]:
    latest: dict[tuple[str, str], Sent] = {}
    for one in history:
        if one.subject not in latest or one.sequence > latest[one.subject].sequence:
            latest[one.subject] = one
    return {subject: json.loads(one.body)["data"] for subject, one in latest.items()}


class TestConvergence:
    @settings(max_examples=EXAMPLES)
    @given(data=st.data())
    def test_to_the_true_state_in_every_order_with_duplicates_and_delays(self, data: st.DataObject) -> None:
        history = data.draw(histories())
        # Each event is sent one to three times, and each attempt waits for another time.
        attempts = [
            (data.draw(st.integers(0, 100)), place, sent)
            for place, sent in enumerate(history)
            for _ in range(data.draw(st.integers(1, 3)))
        ]
        with receiving() as receiver:
            for _, _, sent in sorted(attempts, key=lambda attempt: attempt[:2]):
                assert receiver.receive(headers(sent), sent.body) == HTTPStatus.NO_CONTENT
            found = {sent.subject: receiver.state(*sent.subject) for sent in history}
        assert found == true_state(history)

    def test_to_the_true_state_when_all_come_at_once(self) -> None:
        subjects = [("payment", str(uuid.uuid4())) for _ in range(5)]
        history = [webhook(subject, number) for subject in subjects for number in range(1, 6)]
        with receiving() as receiver, serving(receiver) as url, httpx.Client(trust_env=False, timeout=30) as client:

            def post(sent: Sent) -> int:
                return client.post(url, content=sent.body, headers=headers(sent)).status_code

            with ThreadPoolExecutor(10) as threads:
                statuses = set(threads.map(post, [*history, *reversed(history), *history]))
            found = {subject: client.get(f"{url}/{'/'.join(subject)}").json() for subject in subjects}
        assert statuses == {HTTPStatus.NO_CONTENT}
        assert found == true_state(history)


class TestVerification:
    def test_takes_any_of_the_secrets(self) -> None:
        sent = webhook(("payment", "p"), 1)
        with receiving(SECRET, OTHER_SECRET) as receiver:
            assert receiver.receive(headers(sent, OTHER_SECRET), sent.body) == HTTPStatus.NO_CONTENT
        with receiving() as receiver:
            assert receiver.receive(headers(sent, OTHER_SECRET, SECRET), sent.body) == HTTPStatus.NO_CONTENT

    @pytest.mark.parametrize(
        "changes",
        [
            {"webhook-signature": "v1,AAAA"},
            {"webhook-signature": "nonsense"},
            {"webhook-id": "another"},
            {"webhook-timestamp": "1"},
            {"webhook-timestamp": "now"},
        ],
    )
    def test_refuses_what_was_not_signed(self, changes: dict[str, str]) -> None:
        sent = webhook(("payment", "p"), 1)
        with receiving() as receiver:
            assert receiver.receive({**headers(sent), **changes}, sent.body) == HTTPStatus.BAD_REQUEST
            assert receiver.receive({}, sent.body) == HTTPStatus.BAD_REQUEST
            assert receiver.receive(headers(sent), sent.body + b" ") == HTTPStatus.BAD_REQUEST
            assert receiver.receive(headers(sent, OTHER_SECRET), sent.body) == HTTPStatus.BAD_REQUEST
            assert receiver.state("payment", "p") is None

    def test_refuses_a_body_without_end(self) -> None:
        with receiving() as receiver, serving(receiver) as url:
            answer = httpx.post(url, content=b" " * (BODY_BYTES_MAX + 1), trust_env=False, timeout=30)
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TestTypes:
    def test_of_later_versions_are_left_alone(self) -> None:
        body = build_body("dispute.opened", "2026-04-17T12:00:00.000000+00:00", {"dispute_id": "d"}, 1)
        sent = Sent("an id", ("dispute", "d"), 1, body)
        with receiving() as receiver:
            assert receiver.receive(headers(sent), sent.body) == HTTPStatus.NO_CONTENT
            assert receiver.state("dispute", "d") is None


@contextmanager
def serving(receiver: Receiver) -> Iterator[str]:
    with server(receiver, 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()
