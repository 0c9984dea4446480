"""What the simulated gateway tells about its later decisions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.testkit.local_servers import running_gateway, running_sink

SECRET = "whsec_bm90aWNlcy1vZi10aGUtc2ltdWxhdGVkLWdhdGV3YXkh"


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    with running_sink(SECRET) as url:
        yield url


class Posting:
    """A gateway that posts its notices to a path of the sink."""

    def __init__(self, client: httpx.Client, sink: str, path: str) -> None:
        self.client = client
        self._sink = sink
        self._path = path

    def post(self, kind: str, reference: str, method: str | None = None) -> dict[str, Any]:
        operation_id = str(uuid.uuid4())
        body = {"reference": reference, "operation_id": operation_id, "amount_minor": 500, "currency": "RUB"}
        body |= {"payment_method": method} if method else {}
        answer = self.client.post(f"/{kind}s", json=body, headers={"Idempotency-Key": operation_id})
        return dict(answer.raise_for_status().json())

    def control(self, **changes: Any) -> None:
        self.client.post("/_control", json=changes).raise_for_status()

    def send_all(self) -> None:
        """Wait until the gateway has nothing left to decide and every notice was received."""
        deadline = time.monotonic() + 15
        while (left := self.client.post("/_settle").json()) != {"next_at": None, "sending": 0}:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def received(self, number: int) -> list[dict[str, Any]]:
        """The first so many requests that came to the path."""
        deadline = time.monotonic() + 15
        while len(found := self.so_far()) < number:
            assert time.monotonic() < deadline, f"only {len(found)} notices"
            time.sleep(0.05)
        return found

    def so_far(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(
            f"{self._sink}/received",
            params={"path": self._path},
            trust_env=False,
            timeout=30,
        ).json()
        return found


@contextmanager
def posting(folder: Path, sink: str, path: str) -> Iterator[Posting]:
    settings = {"GATEWAY_NOTICES_URL": sink + path, "GATEWAY_NOTICES_SECRET": SECRET, "GATEWAY_PENDING_SECONDS": "0.2"}
    with (
        running_gateway(folder / "log", **settings) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
    ):
        yield Posting(client, sink, path)


class TestNotices:
    @pytest.mark.parametrize("kind", ["charge", "authorization"])
    @pytest.mark.parametrize("declines", [False, True])
    def test_a_decision_on_what_was_pending(self, tmp_path: Path, sink: str, kind: str, declines: bool) -> None:
        with posting(tmp_path, sink, f"/pending-{kind}-{declines}") as gateway:
            gateway.control(pending_declines=declines)
            made = gateway.post(kind, "p-1", "tok_pending")
            assert made["status"] == "pending"
            (received,) = gateway.received(1)
        assert received["verified"]
        notice = received["body"]
        assert received["headers"]["webhook-id"] == notice["id"]
        status, code = ("declined", "card_declined") if declines else ("succeeded", None)
        assert notice["type"] == f"{kind}.{status}"
        assert notice["data"] == {**made, "status": status, "failure_code": code}

    def test_a_refund_that_is_taken_back(self, tmp_path: Path, sink: str) -> None:
        with posting(tmp_path, sink, "/reversed") as gateway:
            gateway.control(reversal_seconds=0.2)
            gateway.post("charge", "p-2", "tok_refund_reversed")
            refund = gateway.post("refund", "p-2")
            notice = gateway.received(1)[0]["body"]
        assert notice["type"] == "refund.reversed"
        assert notice["data"]["kind"] == "refund_reversal"
        assert notice["data"]["refund_id"] == refund["id"]
        assert notice["data"]["operation_id"] == refund["operation_id"]

    def test_an_authorization_that_expires_unless_it_was_captured_or_voided(self, tmp_path: Path, sink: str) -> None:
        with posting(tmp_path, sink, "/expired") as gateway:
            gateway.control(authorization_seconds=3600)
            made = [gateway.post("authorization", f"p-{number}", "tok_success") for number in range(3)]
            gateway.post("capture", "p-0")
            gateway.post("void", "p-1")
            gateway.control(ahead_seconds=3601)
            gateway.send_all()
            notices = [received["body"] for received in gateway.so_far()]
        assert [(notice["type"], notice["data"]["id"]) for notice in notices] == [
            ("authorization.expired", made[2]["id"])
        ]

    def test_a_notice_is_repeated_until_it_is_received(self, tmp_path: Path, sink: str) -> None:
        with posting(tmp_path, sink, "/fail-times/2/notices") as gateway:
            gateway.post("charge", "p-3", "tok_pending")
            received = gateway.received(3)
        assert len({each["headers"]["webhook-id"] for each in received}) == 1
        assert all(each["verified"] for each in received)

    def test_what_is_decided_at_once_needs_no_notice(self, tmp_path: Path, sink: str) -> None:
        with posting(tmp_path, sink, "/at-once") as gateway:
            gateway.post("charge", "p-4", "tok_success")
            gateway.post("refund", "p-4")
            gateway.post("charge", "p-5", "tok_pending")
            gateway.received(1)
            assert [received["body"]["data"]["reference"] for received in gateway.so_far()] == ["p-5"]

    def test_a_url_without_a_secret_is_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(RuntimeError, match="ended with 1"),
            running_gateway(tmp_path / "log", GATEWAY_NOTICES_URL="http://127.0.0.1:1"),
        ):
            pass
