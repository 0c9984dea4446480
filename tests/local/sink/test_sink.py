"""The webhook sink over HTTP, as a separate process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from local.clock.offset import VARIABLE, Offset
from local.testkit.local_servers import running_sink

SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
BODY = '{"type":"payment.succeeded","data":{"payment_id":"p-1"}}'


@pytest.fixture(scope="module")
def sink() -> Iterator[httpx.Client]:
    with running_sink() as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


def post(
    sink: httpx.Client,
    path: str,
    secret: str = SECRET,
    event: str = "e-1",
    ahead: timedelta = timedelta(),
    **headers: str,
) -> httpx.Response:
    now = datetime.now(UTC) + ahead
    signed = {
        "webhook-id": event,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event, now, BODY),
    }
    return sink.post(path, content=BODY, headers=signed | headers)


class TestReceived:
    def test_lists_what_arrived_and_whether_it_was_signed(self, sink: httpx.Client) -> None:
        assert post(sink, "/ok/a").status_code == 200
        post(sink, "/ok/a", secret="whsec_" + "QUJD" * 10)
        post(sink, "/ok/a", **{"webhook-signature": "nonsense"})
        listed = sink.get("/received", params={"path": "/ok/a", "payment_id": "p-1"}).json()
        assert [received["verified"] for received in listed] == [True, False, False]
        assert listed[0]["headers"]["webhook-id"] == "e-1"
        assert listed[0]["body"]["type"] == "payment.succeeded"
        assert sink.get("/received", params={"payment_id": "other"}).json() == []

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_verifies_nothing_with_a_header_missing_or_wrong(self, sink: httpx.Client, header: str) -> None:
        path = f"/ok/{header}"
        post(sink, path, **{header: "1"})
        post(sink, path, **{header: ""})
        listed = sink.get("/received", params={"path": path}).json()
        assert [received["verified"] for received in listed] == [False, False]

    @pytest.mark.parametrize(
        ("ahead", "is_verified"), [(-310, False), (-290, True), (290, True), (310, False)], ids=str
    )
    def test_verifies_what_was_signed_within_five_minutes(
        self, sink: httpx.Client, ahead: int, is_verified: bool
    ) -> None:
        path = f"/ok/signed{ahead}"
        post(sink, path, ahead=timedelta(seconds=ahead))
        [received] = sink.get("/received", params={"path": path}).json()
        assert received["verified"] is is_verified

    def test_keeps_the_stacks_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file, ahead = tmp_path / "clock", timedelta(hours=75)
        monkeypatch.setenv(VARIABLE, str(file))
        Offset(file).write(ahead)
        with running_sink() as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as own:
            post(own, "/ok", ahead=ahead)
            post(own, "/ok")
            listed = own.get("/received").json()
        assert [received["verified"] for received in listed] == [True, False]
        for received in listed:
            received_at = datetime.fromisoformat(received["received_at"])
            assert abs(received_at - datetime.now(UTC) - ahead) < timedelta(seconds=10)


class TestBehaviours:
    @pytest.mark.parametrize(
        ("path", "statuses"),
        [
            ("/status/503", [503, 503]),
            ("/gone", [410]),
            ("/redirect", [302]),
            ("/fail-times/2/x", [500, 500, 200]),
            ("/status/abc", [404]),
            ("/", [200]),
        ],
    )
    def test_the_path_says_what_happens(self, sink: httpx.Client, path: str, statuses: list[int]) -> None:
        assert [post(sink, path).status_code for _ in statuses] == statuses

    def test_asks_for_patience_once(self, sink: httpx.Client) -> None:
        first, second = post(sink, "/retry-after/2"), post(sink, "/retry-after/2")
        assert (first.status_code, first.headers["Retry-After"], second.status_code) == (429, "2", 200)

    def test_slow_takes_its_time(self, sink: httpx.Client) -> None:
        started = time.monotonic()
        assert post(sink, "/slow/0.3").status_code == 200
        assert time.monotonic() - started >= 0.3

    def test_hang_never_answers(self, sink: httpx.Client) -> None:
        with pytest.raises(httpx.ReadTimeout):
            sink.post("/hang", content=b"{}", timeout=0.3)
