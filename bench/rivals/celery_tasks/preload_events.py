"""`python -m bench.rivals.celery_tasks.preload_events COUNT MERCHANT…`: send a task for each of so many events."""

from __future__ import annotations

import itertools
import json
import sys
import uuid

from bench.rivals.celery_tasks.tasks import fan_out
from bench.rivals.order import event_body

# As much as our event of a payment says.
DETAILS: dict[str, object] = {
    "amount": "100.50",
    "currency": "RUB",
    "status": "succeeded",
    "description": None,
    "metadata": {},
    "customer": None,
    "payment_method": "tok_success",
    "created_at": "2026-11-29T12:00:00.000000Z",
    "updated_at": "2026-11-29T12:00:00.000000Z",
}

if __name__ == "__main__":
    count, merchants = int(sys.argv[1]), sys.argv[2:]
    for _, merchant_id in zip(range(count), itertools.cycle(merchants), strict=False):
        event = json.loads(event_body(uuid.uuid4(), "payment.succeeded", uuid.uuid4(), **DETAILS))
        fan_out.delay(event, merchant_id)
