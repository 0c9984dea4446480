"""Authorizations, captures, voids and refunds at the simulated gateway, over HTTP."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.clock.offset import VARIABLE, Offset
from local.testkit.local_servers import running_gateway

DAY_SECONDS = 86_400


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "log.jsonl") as url, client_of(url) as client:
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[httpx.Client]:
    """A gateway of the test, whose controls it may set."""
    with running_gateway(tmp_path / "log.jsonl") as url, client_of(url) as client:
        yield client


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=30)


class Payment:
    """The requests about one payment of 100.50 RUB."""

    def __init__(self, client: httpx.Client, method: str | None = "tok_success") -> None:
        self.client = client
        self.method = method
        self.reference = str(uuid.uuid4())

    def post(self, kind: str, amount_minor: int = 10050, timeout: float = 5, **more: Any) -> httpx.Response:
        operation_id = more.pop("operation_id", None) or str(uuid.uuid4())
        body = {"reference": self.reference, "operation_id": operation_id, "amount_minor": amount_minor}
        body |= {"currency": "RUB", **more}
        headers = {"Idempotency-Key": f"{operation_id}:{kind}"}
        return self.client.post(f"/{kind}s", json=body, headers=headers, timeout=timeout)

    def authorized(self) -> dict[str, Any]:
        answer = self.post("authorization", operation_id=self.reference, payment_method=self.method)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def charged(self) -> dict[str, Any]:
        answer = self.post("charge", operation_id=self.reference, payment_method=self.method)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def records(self, kind: str | None = None, status: str = "succeeded") -> list[dict[str, Any]]:
        found = self.client.get("/charges", params={"reference": self.reference}).json()
        return [each for each in found if kind in (None, each["kind"]) and each["status"] == status]

    def state(self) -> str:
        return str(self.records("authorization")[0]["state"])


def control(client: httpx.Client, **changes: Any) -> None:
    client.post("/_control", json=changes).raise_for_status()


def good_seconds(authorization: dict[str, Any]) -> float:
    good = datetime.fromisoformat(authorization["expires_at"]) - datetime.fromisoformat(authorization["created_at"])
    return good.total_seconds()


def code_of(answer: httpx.Response) -> str:
    body = answer.json()
    return str(body.get("failure_code") or body["error"]["code"])


class TestRecords:
    def test_a_record_of_every_kind_has_the_documented_members(self, client: httpx.Client) -> None:
        payment = Payment(client, "tok_refund_reversed")
        payment.authorized()
        payment.post("capture", 5000)
        payment.post("refund", 1000)
        other = Payment(client)
        other.authorized()
        other.post("void")
        eventually(lambda: payment.records("refund_reversal"))
        documented = {"id", "reference", "operation_id", "kind", "amount_minor", "currency", "status"}
        documented |= {"idempotency_key", "created_at"}
        kinds = set()
        for record in [*payment.records(), *other.records()]:
            assert documented <= record.keys()
            assert "payment_method" not in record
            day = client.get("/statement", params={"date": record["created_at"][:10]}).json()
            assert [each["id"] for each in day].count(record["id"]) == 1
            kinds.add(record["kind"])
        assert kinds == {"authorization", "capture", "void", "refund", "refund_reversal"}

    def test_a_look_up_of_an_operation_leaves_out_the_others(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.authorized()
        payment.post("capture")
        refunds = [payment.post("refund", 10).json() for _ in range(3)]
        query = {"reference": payment.reference, "operation_id": refunds[1]["operation_id"]}
        found = client.get("/charges", params=query).json()
        assert [each["kind"] for each in found] == ["authorization", "refund"]
        assert found[1] == refunds[1]


class TestAuthorizations:
    def test_is_good_for_seven_days(self, client: httpx.Client) -> None:
        assert good_seconds(Payment(client).authorized()) == 7 * DAY_SECONDS

    def test_four_fifths_may_be_approved(self, client: httpx.Client) -> None:
        payment = Payment(client, "tok_partial")
        assert payment.authorized()["amount_minor"] == 8040
        assert code_of(payment.post("capture")) == "capture_exceeds_authorization"
        assert payment.post("capture", 8040).status_code == 201

    def test_expires_after_two_seconds_by_its_method(self, own: httpx.Client) -> None:
        payment = Payment(own, "tok_authorization_expires")
        # The gateway's clock goes back after the authorization, so that the test has an hour to find it open.
        control(own, ahead_seconds=3600)
        assert good_seconds(payment.authorized()) == 2
        control(own, ahead_seconds=0)
        assert payment.state() == "open"
        control(own, ahead_seconds=3602)
        assert payment.state() == "expired"
        capture = payment.post("capture")
        assert (capture.status_code, code_of(capture)) == (402, "authorization_expired")
        void = payment.post("void")
        assert (void.status_code, code_of(void)) == (409, "already_expired")
        assert payment.records("capture") + payment.records("void") == []

    def test_one_that_is_pending_can_be_neither_captured_nor_voided(self, own: httpx.Client) -> None:
        control(own, pending_seconds=60)
        payment = Payment(own, "tok_pending")
        answer = payment.post("authorization", payment_method="tok_pending")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert [code_of(payment.post(kind)) for kind in ("capture", "void")] == ["authorization_in_progress"] * 2
        control(own, ahead_seconds=60)
        assert payment.post("void").status_code == 201


class TestEndOfAnAuthorization:
    def test_a_capture_releases_the_rest(self, client: httpx.Client) -> None:
        payment = Payment(client)
        held = payment.authorized()
        capture = payment.post("capture", 4000)
        assert capture.status_code == 201
        assert (capture.json()["released_minor"], capture.json()["target_id"]) == (6050, held["id"])
        assert payment.state() == "captured"
        assert [code_of(payment.post("capture", 100)) for _ in range(2)] == ["already_captured"] * 2
        assert code_of(payment.post("void")) == "authorization_captured"
        assert len(payment.records("capture")) == 1

    def test_a_void_releases_all(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.authorized()
        assert payment.post("void", 1).json()["amount_minor"] == 10050
        assert payment.state() == "voided"
        assert code_of(payment.post("capture")) == "authorization_voided"
        again = payment.post("void")
        assert (again.status_code, code_of(again)) == (409, "already_voided")

    def test_a_declined_capture_leaves_the_authorization_open(self, client: httpx.Client) -> None:
        payment = Payment(client, "tok_capture_declined")
        payment.authorized()
        assert code_of(payment.post("capture")) == "capture_declined"
        assert payment.state() == "open"
        assert payment.post("void").status_code == 201

    def test_one_of_twenty_captures_and_voids_wins(self, own: httpx.Client) -> None:
        control(own, latency_seconds_max=0.05)
        for _ in range(10):
            payment = Payment(own, None)
            payment.authorized()
            threads = [
                threading.Thread(target=payment.post, args=(kind,)) for kind in ("capture", "void") for _ in range(10)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(payment.records("capture") + payment.records("void")) == 1

    def test_a_capture_needs_an_authorization(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.charged()
        assert code_of(payment.post("capture")) == "authorization_not_found"

    def test_the_same_key_gives_the_same_answer(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.authorized()
        first, second = (payment.post("capture", operation_id="the-capture-of-" + payment.reference) for _ in range(2))
        assert first.json() == second.json()
        assert second.headers["Idempotency-Replayed"] == "true"
        another = payment.post("capture", 100, operation_id="the-capture-of-" + payment.reference)
        assert another.status_code == 409

    def test_another_currency_is_declined(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.authorized()
        assert code_of(payment.post("capture", currency="EUR")) == "currency_mismatch"


class TestRefunds:
    def test_never_more_than_was_captured(self, client: httpx.Client) -> None:
        payment = Payment(client)
        payment.authorized()
        assert code_of(payment.post("refund", 1)) == "charge_not_found"
        payment.post("capture", 5000)
        answers = [payment.post("refund", 3000) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 402]
        assert payment.post("refund", 2000).status_code == 201
        assert code_of(payment.post("refund", 1)) == "already_refunded"

    def test_a_named_target_bounds_the_refund(self, own: httpx.Client) -> None:
        """Two charges under one reference, as when a key was forgotten: each is refunded up to its own amount."""
        payment = Payment(own)
        first = payment.charged()
        control(own, key_seconds=0)
        second = payment.charged()
        assert first["id"] != second["id"]
        assert payment.post("refund", 10050, target_id=first["id"]).status_code == 201
        assert code_of(payment.post("refund", 1, target_id=first["id"])) == "already_refunded"
        assert payment.post("refund", 10050, target_id=second["id"]).status_code == 201

    def test_a_refund_can_be_declined(self, client: httpx.Client) -> None:
        payment = Payment(client, "tok_refund_declined")
        payment.charged()
        assert code_of(payment.post("refund")) == "refund_declined"

    @pytest.mark.parametrize(("method", "refunds"), [("tok_refund_timeout", 0), ("tok_refund_timeout_done", 1)])
    def test_a_lost_answer_refunds_or_not_as_its_name_says(
        self, client: httpx.Client, method: str, refunds: int
    ) -> None:
        payment = Payment(client, method)
        payment.charged()
        with pytest.raises(httpx.ReadTimeout):
            payment.post("refund", 100, timeout=0.3, operation_id=f"{method}-1")
        assert len(payment.records("refund")) == refunds

    def test_a_refund_is_taken_back_and_the_money_can_be_refunded_again(self, own: httpx.Client) -> None:
        control(own, reversal_seconds=3600)
        payment = Payment(own, "tok_refund_reversed")
        payment.charged()
        refund = payment.post("refund").json()
        assert refund["status"] == "succeeded"
        assert payment.records("refund_reversal") == []
        control(own, ahead_seconds=3600)
        (reversal,) = payment.records("refund_reversal")
        for name in ("operation_id", "amount_minor", "currency", "target_id"):
            assert reversal[name] == refund[name]
        assert reversal["refund_id"] == refund["id"]
        assert payment.records("refund") == [refund]
        assert payment.post("refund").status_code == 201

    def test_a_refund_is_taken_back_by_a_gateway_that_restarts_meanwhile(self, tmp_path: Path) -> None:
        with running_gateway(tmp_path / "log") as url, client_of(url) as client:
            payment = Payment(client, "tok_refund_reversed")
            payment.charged()
            payment.post("refund")
        for _ in range(2):
            with running_gateway(tmp_path / "log") as url, client_of(url) as client:
                payment.client = client
                eventually(lambda: payment.records("refund_reversal"))
                assert len(payment.records("refund_reversal")) == 1


class TestFaults:
    def test_each_fault_strikes_one_operation(self, own: httpx.Client) -> None:
        payment = Payment(own)
        control(own, faults=["lost_request", "error", "rate_limited", "error_done", "lost_answer"])
        with pytest.raises(httpx.ReadTimeout):
            payment.post("charge", timeout=0.3, operation_id=payment.reference)
        assert payment.post("charge", operation_id=payment.reference).status_code == 500
        limited = payment.post("charge", operation_id=payment.reference)
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
        assert payment.records() == []
        assert payment.post("charge", operation_id=payment.reference).status_code == 500
        assert len(payment.records()) == 1
        with pytest.raises(httpx.ReadTimeout):
            payment.post("refund", 100, timeout=0.3)
        assert len(payment.records()) == 2
        assert payment.post("refund", 100).status_code == 201

    def test_a_repeated_request_meets_the_first_in_hand(self, own: httpx.Client) -> None:
        control(own, faults=["held"], holding=True, busy_status=422)
        payment = Payment(own)
        with pytest.raises(httpx.ReadTimeout):
            payment.post("charge", timeout=0.1, operation_id=payment.reference)
        again = payment.post("charge", operation_id=payment.reference)
        assert (again.status_code, code_of(again)) == (422, "request_in_progress")
        assert payment.records() == []
        control(own, holding=False)
        assert len(eventually(payment.records, 30)) == 1

    def test_a_key_is_forgotten_after_a_day(self, own: httpx.Client) -> None:
        payment = Payment(own)
        first = payment.charged()
        control(own, ahead_seconds=DAY_SECONDS - 1)
        assert payment.charged() == first
        control(own, ahead_seconds=DAY_SECONDS + 1)
        assert payment.charged()["id"] != first["id"]
        assert len(payment.records("charge")) == 2

    def test_a_reference_without_records_may_be_404(self, own: httpx.Client) -> None:
        control(own, unknown_status=404)
        payment = Payment(own)
        assert own.get("/charges", params={"reference": payment.reference}).status_code == 404
        payment.charged()
        assert len(payment.records()) == 1

    def test_a_pending_charge_can_be_declined_in_the_end(self, own: httpx.Client) -> None:
        control(own, pending_seconds=60, pending_declines=True)
        payment = Payment(own)
        answer = payment.post("charge", payment_method="tok_pending")
        assert (answer.status_code, answer.json()["failure_code"]) == (202, None)
        control(own, ahead_seconds=60)
        (record,) = payment.records(status="declined")
        assert record["failure_code"] == "card_declined"


def eventually(look: Callable[[], Any], seconds_max: float = 10) -> Any:
    deadline = time.monotonic() + seconds_max
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds_max} s"
        time.sleep(0.05)
    return found


class TestStackTime:
    def test_expires_and_says_what_is_next_by_the_stacks_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, week = tmp_path / "clock", timedelta(days=7)
        monkeypatch.setenv(VARIABLE, str(file))
        offset = Offset(file)
        with running_gateway(tmp_path / "charges.jsonl") as url, client_of(url) as client:
            assert client.post("/_settle").json() == {"next_at": None, "sending": 0}
            control(client, ahead_seconds=100)
            payment = Payment(client)
            payment.authorized()
            next_at = client.post("/_settle").json()["next_at"]
            assert abs(next_at - offset.now() - week.total_seconds()) < 5
            offset.write(week - timedelta(seconds=10))
            assert payment.state() == "open"
            offset.write(week + timedelta(seconds=10))
            assert client.post("/_settle").json()["next_at"] is None
            assert payment.state() == "expired"
