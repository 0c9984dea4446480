"""The receivers of the quick start: each takes what our signer has signed, and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from paybridge.core.clock import SystemClock
from paybridge.core.standard_webhooks import parse_secret
from paybridge.webhooks.domain.webhook import build_body, signed_headers
from tests.support import quick_start

pytestmark = pytest.mark.slow

# Base64 without padding is a valid secret too.
SECRET = "whsec_" + base64.b64encode(b"the secret of the quick start").decode().rstrip("=")
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of some length").decode()
TOO_LARGE_BYTES = 1_000_001


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver, and the file to which it writes what it has handled."""

    url: str
    output: Path

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        return httpx.post(self.url, content=body, headers=headers, trust_env=False, timeout=20).status_code

    def handled(self, payment_id: str) -> list[str]:
        """Return the types of the events of a payment."""
        lines = (line.split() for line in self.output.read_text(encoding="utf-8").splitlines())
        return [type_ for type_, id_, _sequence in lines if id_ == payment_id]


@pytest.fixture(scope="module", params=quick_start.RECEIVING)
def receiver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    folder = tmp_path_factory.mktemp(request.param)
    programs = quick_start.prepare(request.param, folder)
    output = folder / "output.txt"
    with programs.receiving(output, WEBHOOK_SECRET=SECRET) as url:
        yield Receiver(url, output)


def body_of(payment_id: str) -> bytes:
    return build_body("payment.succeeded", "2026-04-17T12:00:00.000000+00:00", {"payment_id": payment_id}, 3)


def headers(body: bytes, *secrets: str, id_: str = "an-event", late_seconds: float = 0) -> dict[str, str]:
    now = SystemClock().now() + timedelta(seconds=late_seconds)
    return signed_headers([parse_secret(secret) for secret in secrets or (SECRET,)], id_, now, body)


class TestGenuine:
    def test_is_handled_once_however_often_it_comes(self, receiver: Receiver) -> None:
        body = body_of("once")
        statuses = [receiver.post(body, headers(body, id_="once")) for _ in range(3)]
        assert statuses == [204, 204, 204]
        assert receiver.handled("once") == ["payment.succeeded"]

    @pytest.mark.parametrize("secrets", [(OTHER_SECRET, SECRET), (SECRET, OTHER_SECRET)])
    def test_with_several_signatures_while_a_secret_rotates(self, receiver: Receiver, secrets: tuple[str, str]) -> None:
        body = body_of("rotating")
        assert receiver.post(body, headers(body, *secrets)) == 204

    def test_in_bytes_that_a_parser_would_not_write_again(self, receiver: Receiver) -> None:
        data = {"payment_id": "raw", "description": "Grüße \u2028 \U0001f600"}
        content = {"type": "payment.succeeded", "data": {**data, "sequence": 1}}
        for body in (json.dumps(content, indent=3).encode(), json.dumps(content, ensure_ascii=False).encode()):
            assert receiver.post(body, headers(body)) == 204

    @pytest.mark.parametrize("late_seconds", [-290, 290])
    def test_within_five_minutes(self, receiver: Receiver, late_seconds: float) -> None:
        body = body_of("in time")
        assert receiver.post(body, headers(body, late_seconds=late_seconds)) == 204


class TestForged:
    @pytest.mark.parametrize("late_seconds", [-310, 310])
    def test_by_age(self, receiver: Receiver, late_seconds: float) -> None:
        body = body_of("old")
        assert receiver.post(body, headers(body, late_seconds=late_seconds)) == 400

    def test_by_another_secret(self, receiver: Receiver) -> None:
        body = body_of("forged")
        assert receiver.post(body, headers(body, OTHER_SECRET)) == 400

    def test_by_another_body(self, receiver: Receiver) -> None:
        body = body_of("forged")
        assert receiver.post(body + b" ", headers(body)) == 400

    @pytest.mark.parametrize(
        "changes",
        [
            {"webhook-id": "another"},
            {"webhook-timestamp": "now"},
            {"webhook-timestamp": "-1"},
            {"webhook-timestamp": "9" * 5000},
            {"webhook-signature": ""},
            {"webhook-signature": "nonsense"},
            {"webhook-signature": "v1,"},
            {"webhook-signature": "v1,AAAA v1,====="},
        ],
        ids=lambda changes: str(changes)[:60],
    )
    def test_by_a_header(self, receiver: Receiver, changes: dict[str, str]) -> None:
        body = body_of("forged")
        assert receiver.post(body, {**headers(body), **changes}) == 400
        missing = next(iter(changes))
        assert receiver.post(body, {name: text for name, text in headers(body).items() if name != missing}) == 400

    def test_by_another_time(self, receiver: Receiver) -> None:
        body = body_of("forged")
        signed = headers(body)
        second_before = str(int(signed["webhook-timestamp"]) - 1)
        assert receiver.post(body, {**signed, "webhook-timestamp": second_before}) == 400

    def test_is_never_handled(self, receiver: Receiver) -> None:
        assert receiver.handled("forged") == []


def test_a_body_without_end_is_refused(receiver: Receiver) -> None:
    body = b" " * TOO_LARGE_BYTES
    assert receiver.post(body, headers(body)) == 413
