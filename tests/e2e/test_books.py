"""The balances follow what happens to payments and payouts, through the whole stack."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from local.testkit import live
from local.testkit.live import Merchant

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

# Three decimal places, and no other test uses it.
CURRENCY = "OMR"
OPERATOR_KEY = "secret-operator-key"


def post(demo: Merchant, path: str, body: Any, api_key: str = "") -> httpx.Response:
    return demo.client.post(
        f"{demo.api_url}/api/v1/{path}",
        json=body,
        headers={"X-API-Key": api_key or demo.api_key, "Idempotency-Key": str(uuid.uuid4())},
    )


def read(demo: Merchant, path: str, **query: str) -> Any:
    answer = demo.client.get(f"{demo.api_url}/api/v1/{path}", params=query, headers={"X-API-Key": demo.api_key})
    return answer.raise_for_status().json()


def at_balance(demo: Merchant, pending: str, available: str, reserved: str) -> None:
    """Wait until the balance is this one."""
    wanted = {"currency": CURRENCY, "pending": pending, "available": available, "reserved": reserved}
    live.eventually(lambda: wanted in read(demo, "balances")["data"], f"the balance {wanted}")


def test_balances_say_what_was_paid_held_refunded_and_paid_out(demo: Merchant) -> None:
    payment_id = demo.pay(amount="100.500", currency=CURRENCY)
    demo.settled(payment_id)
    at_balance(demo, "0.000", "100.500", "0.000")

    held_id = demo.pay(amount="50.000", currency=CURRENCY, capture="manual")
    at_balance(demo, "50.000", "100.500", "0.000")
    # A capture of a part ends the hold as a whole.
    assert post(demo, f"payments/{held_id}/capture", {"amount": "20.250"}).status_code == httpx.codes.ACCEPTED
    at_balance(demo, "0.000", "120.750", "0.000")

    assert post(demo, f"payments/{payment_id}/refunds", {"amount": "30.250"}).status_code == httpx.codes.ACCEPTED
    at_balance(demo, "0.000", "90.500", "0.000")

    refused = post(demo, "payouts", {"amount": "90.501", "currency": CURRENCY})
    assert (refused.status_code, refused.json()["code"], refused.json()["available"]) == (
        422,
        "insufficient_balance",
        "90.500",
    )
    ordered = [post(demo, "payouts", {"amount": amount, "currency": CURRENCY}).json() for amount in ("40.500", "9.000")]
    at_balance(demo, "0.000", "41.000", "49.500")
    for payout, outcome in zip(ordered, ("paid", "failed"), strict=True):
        settled = post(demo, f"ops/payouts/{payout['payout_id']}/settle", {"outcome": outcome}, OPERATOR_KEY)
        assert settled.json()["status"] == outcome
    at_balance(demo, "0.000", "50.000", "0.000")

    entries = read(demo, "ledger/entries", payment_id=payment_id)["data"]
    assert [(each["rule"], each["amount"]) for each in entries] == [("refund", "30.250"), ("capture", "100.500")]
    events = read(demo, "events", type="payout.*", limit="100")["data"]
    mine = {payout["payout_id"] for payout in ordered}
    assert sorted(each["type"] for each in events if each["subject"]["id"] in mine) == [
        "payout.created",
        "payout.created",
        "payout.failed",
        "payout.paid",
    ]
    # A payment's own history is as it was.
    assert not [entry for entry in demo.timeline(payment_id) if entry["type"].startswith(("charge.", "payout."))]


def test_what_settles_no_payment_moves_no_balance(demo: Merchant) -> None:
    before = {each["currency"]: each for each in read(demo, "balances")["data"]}
    payment_id = demo.pay(amount="10.00", currency="AZN", payment_method="tok_partial")
    assert demo.settled(payment_id)["failure_code"] == "partial_approval"
    live.eventually(
        lambda: [each for each in demo.timeline(payment_id) if each["type"] == "gateway.attempt_succeeded"],
        "the refund of what was approved",
    )
    entries = live.eventually(lambda: len(house(demo, payment_id)) == 2 and house(demo, payment_id), "the entries")
    assert [(each["rule"], each["amount"]) for each in entries] == [
        ("charge_returned", "8.00"),
        ("charge_taken", "8.00"),
    ]
    after = {each["currency"]: each for each in read(demo, "balances")["data"]}
    assert after.get("AZN") == before.get("AZN")


def house(demo: Merchant, payment_id: str) -> list[dict[str, Any]]:
    """The entries of a payment in the accounts of the house."""
    answer = demo.client.get(
        f"{demo.api_url}/api/v1/ledger/entries",
        params={"payment_id": payment_id},
        headers={"X-API-Key": OPERATOR_KEY},
    )
    data: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return data
