"""Create a payment, wait for its outcome, and refund a part of it. Needs Python 3.9 and no packages."""

from __future__ import annotations

import json
import os
import random
import sys
import time
import uuid
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

API = os.environ.get("PAYBRIDGE_URL", "http://127.0.0.1:8000") + "/api/v1"
API_KEY = os.environ.get("PAYBRIDGE_API_KEY", "secret-api-key")
WEBHOOK_URL = os.environ.get("WEBHOOK_URL", "http://127.0.0.1:8099/")
TRIES_MAX = 8


class Refused(Exception):
    """Paybridge has refused the request. Decide by `code`."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.code = problem.get("code")


def call(method: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send a request until it is answered. With the same idempotency key that is safe."""
    sent = {"X-API-Key": API_KEY, "Content-Type": "application/json", **headers}
    content = None if body is None else json.dumps(body).encode()
    for number in range(TRIES_MAX):
        seconds = min(0.5 * 2**number, 60) * random.uniform(0.5, 1.5)
        try:
            with urlopen(Request(API + path, content, sent, method=method), timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            problem = read_problem(error)
            in_flight = problem.get("code") == "idempotency_key_in_flight"
            if error.code not in (429, 500, 502, 503, 504) and not in_flight:
                raise Refused(error.code, problem) from None
            retry_after = error.headers.get("Retry-After", "")
            seconds = max(seconds, int(retry_after) if retry_after.isdigit() else 0)
        except (OSError, HTTPException, ValueError):
            pass  # No answer, or a part of one. The request may have worked, so repeat the very same one.
        time.sleep(seconds)
    raise TimeoutError("Still no answer. Send the request again later, with the same key.")


def read_problem(error: HTTPError) -> Any:
    try:
        return json.load(error)
    except ValueError:
        return {}  # Not from Paybridge, but from a server in between.


def wait_for(path: str, *open_statuses: str) -> Any:
    """Read a payment or refund until it has settled, for about a minute."""
    for _ in range(6):
        found = call("GET", path, Prefer="wait=10")
        if found["status"] not in open_statuses:
            break
        time.sleep(1)  # Too many requests were waiting, or it takes longer.
    return found  # If it has not settled, the webhook will bring the outcome.


def main() -> None:
    # In your program: store these keys with the order before you call, and load them when you start again.
    payment_key, refund_key = str(uuid.uuid4()), str(uuid.uuid4())

    order = {
        "amount": "100.50",
        "currency": "RUB",
        "metadata": {"order_id": "123"},
        "webhook_url": WEBHOOK_URL,
        "payment_method": "tok_success",
    }
    payment = call("POST", "/payments", order, **{"Idempotency-Key": payment_key})
    payment = wait_for(f"/payments/{payment['payment_id']}", "pending", "processing", "review")
    print("payment", payment["payment_id"], payment["status"], payment["failure_code"] or "")
    if payment["status"] != "succeeded":
        return

    part = {"amount": "30.00", "reason": "Damaged in transit"}
    refund = call("POST", f"/payments/{payment['payment_id']}/refunds", part, **{"Idempotency-Key": refund_key})
    refund = wait_for(f"/refunds/{refund['refund_id']}", "pending", "processing")
    print("refund", refund["refund_id"], refund["status"], refund["failure_code"] or "")


if __name__ == "__main__":
    try:
        main()
    except (Refused, TimeoutError) as error:
        sys.exit(str(error))
