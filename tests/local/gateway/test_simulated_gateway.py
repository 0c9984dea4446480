"""The simulated gateway over HTTP, as a separate process."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.testkit.local_servers import running_gateway, running_gateway_process


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "charges.jsonl") as url, client_of(url) as client:
        yield client


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=30)


def charge(client: httpx.Client, key: str | None = None, timeout: float = 5, **changes: Any) -> httpx.Response:
    reference = changes.pop("reference", str(uuid.uuid4()))
    body = {"reference": reference, "amount_minor": 10050, "currency": "RUB", "payment_method": None, **changes}
    headers = {"Idempotency-Key": key or f"charge-{reference}"}
    return client.post("/charges", json=body, headers=headers, timeout=timeout)


def charges_of(client: httpx.Client, reference: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = client.get("/charges", params={"reference": reference}).json()
    return listed


class TestCharges:
    def test_a_charge_is_answered_and_listed(self, gateway: httpx.Client) -> None:
        answer = charge(gateway, reference="p-1", payment_method="tok_success")
        assert answer.status_code == 201
        assert answer.json()["status"] == "succeeded"
        assert "payment_method" not in answer.json()
        assert charges_of(gateway, "p-1") == [answer.json()]

    def test_a_decline_is_402_with_its_code_and_listed_too(self, gateway: httpx.Client) -> None:
        answer = charge(gateway, reference="p-2", payment_method="tok_fraud")
        assert (answer.status_code, answer.json()["failure_code"]) == (402, "fraud_blocked")
        assert [record["status"] for record in charges_of(gateway, "p-2")] == ["declined"]

    def test_the_same_key_gives_the_same_answer_and_one_charge(self, gateway: httpx.Client) -> None:
        first, second = charge(gateway, reference="p-3"), charge(gateway, reference="p-3")
        assert first.json() == second.json()
        assert "Idempotency-Replayed" not in first.headers
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(charges_of(gateway, "p-3")) == 1

    def test_the_same_key_with_another_amount_is_a_conflict(self, gateway: httpx.Client) -> None:
        charge(gateway, reference="p-4")
        assert charge(gateway, reference="p-4", amount_minor=1).status_code == 409

    def test_flaky_fails_twice_for_one_reference(self, gateway: httpx.Client) -> None:
        answers = [charge(gateway, reference="p-5", payment_method="tok_flaky") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 201, 201]
        assert len(charges_of(gateway, "p-5")) == 1

    @pytest.mark.parametrize(("payment_method", "charged"), [("tok_timeout", 0), ("tok_timeout_charged", 1)])
    def test_a_lost_answer_charges_or_not_as_its_name_says(
        self, gateway: httpx.Client, payment_method: str, charged: int
    ) -> None:
        with pytest.raises(httpx.ReadTimeout):
            charge(gateway, reference=payment_method, payment_method=payment_method, timeout=0.5)
        assert len(charges_of(gateway, payment_method)) == charged

    def test_a_retry_after_a_lost_answer_replays_the_charge(self, gateway: httpx.Client) -> None:
        with pytest.raises(httpx.ReadTimeout):
            charge(gateway, reference="p-6", payment_method="tok_timeout_charged", timeout=0.5)
        again = charge(gateway, reference="p-6", payment_method="tok_timeout_charged")
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")

    def test_a_pending_charge_succeeds_after_a_while(self, tmp_path: Path) -> None:
        with running_gateway(tmp_path / "log", GATEWAY_PENDING_SECONDS="60") as url, client_of(url) as client:
            first = charge(client, reference="p-7", payment_method="tok_pending")
            assert (first.status_code, first.json()["status"]) == (202, "pending")
            assert [record["status"] for record in charges_of(client, "p-7")] == ["pending"]
            client.post("/_control", json={"ahead_seconds": 60}).raise_for_status()
            again = charge(client, reference="p-7", payment_method="tok_pending")
            assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
            assert charges_of(client, "p-7") == [again.json()]
        assert again.json() == {**first.json(), "status": "succeeded"}

    def test_a_part_is_approved_and_replayed(self, gateway: httpx.Client) -> None:
        answers = [charge(gateway, reference="p-8", payment_method="tok_partial") for _ in range(2)]
        assert [(answer.status_code, answer.json()["amount_minor"]) for answer in answers] == [(201, 8040)] * 2
        assert len(charges_of(gateway, "p-8")) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount_minor": 0},
            {"amount_minor": 1.5},
            {"amount_minor": True},
            {"currency": "rub"},
            {"reference": ""},
            {"reference": "x" * 256},
            {"payment_method": 7},
            {"card_number": "x"},
        ],
    )
    def test_bad_input_is_400(self, gateway: httpx.Client, changes: dict[str, Any]) -> None:
        assert charge(gateway, key="bad", **changes).status_code == 400

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"reference": "\xff"}'])
    def test_a_body_that_is_no_object_is_400(self, gateway: httpx.Client, content: bytes) -> None:
        assert gateway.post("/charges", content=content, headers={"Idempotency-Key": "k"}).status_code == 400

    def test_a_missing_key_is_400(self, gateway: httpx.Client) -> None:
        body = {"reference": "p", "amount_minor": 1, "currency": "RUB"}
        assert gateway.post("/charges", json=body).status_code == 400


class TestConcurrentKeys:
    def test_the_second_waits_for_the_first_and_gets_its_answer(self, tmp_path: Path) -> None:
        latency = {"GATEWAY_LATENCY_SECONDS_MIN": "0.5", "GATEWAY_LATENCY_SECONDS_MAX": "0.5"}
        with running_gateway(tmp_path / "log", **latency) as url, client_of(url) as client:
            answers: list[httpx.Response] = []
            threads = [threading.Thread(target=lambda: answers.append(charge(client, reference="p"))) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert {answer.json()["id"] for answer in answers} == {charges_of(client, "p")[0]["id"]}
            assert len(charges_of(client, "p")) == 1


class TestRefunds:
    def test_never_more_than_was_charged(self, gateway: httpx.Client) -> None:
        charge(gateway, reference="r-1")
        answers = [
            gateway.post(
                "/refunds",
                json={"reference": "r-1", "amount_minor": 6000},
                headers={"Idempotency-Key": f"refund-{number}"},
            )
            for number in range(2)
        ]
        assert [answer.status_code for answer in answers] == [201, 402]
        assert answers[1].json()["failure_code"] == "refund_exceeds_charge"
        assert answers[0].json()["currency"] == "RUB"

    def test_needs_a_charge(self, gateway: httpx.Client) -> None:
        body = {"reference": "r-2", "amount_minor": 1}
        answer = gateway.post("/refunds", json=body, headers={"Idempotency-Key": "refund-r-2"})
        assert (answer.status_code, answer.json()["failure_code"]) == (402, "charge_not_found")


class TestStatement:
    def test_lists_the_day(self, gateway: httpx.Client) -> None:
        made = charge(gateway).json()
        assert made in gateway.get("/statement", params={"date": made["created_at"][:10]}).json()
        assert gateway.get("/statement", params={"date": "1999-01-01"}).json() == []


class TestControl:
    def test_switches_the_gateway_off_and_on(self, gateway: httpx.Client) -> None:
        gateway.post("/_control", json={"down": True}).raise_for_status()
        assert charge(gateway).status_code == 503
        assert gateway.get("/charges", params={"reference": "x"}).status_code == 503
        gateway.post("/_control", json={"down": False}).raise_for_status()
        assert charge(gateway).status_code == 201

    def test_an_unknown_control_is_400(self, gateway: httpx.Client) -> None:
        assert gateway.post("/_control", json={"colour": "red"}).status_code == 400


class TestProcess:
    def test_an_answered_charge_survives_kill_9(self, tmp_path: Path) -> None:
        log = tmp_path / "charges.jsonl"
        with running_gateway_process(log, GATEWAY_SUCCESS_RATE="1") as (process, url):
            with client_of(url) as client:
                made = charge(client, reference="p").json()
            process.send_signal(signal.SIGKILL)
            process.wait()
        with running_gateway(log) as url, client_of(url) as client:
            again = charge(client, reference="p")
            assert again.json() == made
            assert again.headers["Idempotency-Replayed"] == "true"

    def test_ends_at_once_although_a_request_hangs(self, tmp_path: Path) -> None:
        with running_gateway_process(tmp_path / "log") as (process, url), client_of(url) as client:
            with pytest.raises(httpx.ReadTimeout):
                charge(client, payment_method="tok_timeout", timeout=0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
