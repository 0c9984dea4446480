"""The tasks: charge a payment, then send its webhook. `celery -A bench.rivals.celery_tasks.tasks worker` runs them."""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import psycopg
import urllib3
from celery import Celery
from celery.signals import worker_process_init

from bench.rivals.order import event_body
from bench.rivals.webhooks import signed

app = Celery("payments", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_acks_late=True,
    task_default_queue_type="quorum",
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=16,
    # No task is delayed here, so the queues for delays need not be replicated.
    broker_native_delayed_delivery_queue_type="classic",
)

_http = urllib3.PoolManager()
_connections: list[psycopg.Connection[Any]] = []


@worker_process_init.connect
def connect(**_: Any) -> None:
    """Open the only connection of a worker process."""
    _connections.append(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))


@app.task
def charge(payment_id: str) -> None:
    """Charge a payment. Commit the attempt before the call of the gateway, and the outcome with its event after it."""
    [connection] = _connections
    attempt_id = uuid.uuid4()
    with connection.transaction():
        payment = connection.execute(
            "UPDATE payments SET status = 'processing' WHERE id = %s AND status IN ('pending', 'processing')"
            " RETURNING amount_minor, currency, webhook_url",
            (payment_id,),
        ).fetchone()
        if payment is None:
            return
        connection.execute(
            "INSERT INTO attempts (id, payment_id, status) VALUES (%s, %s, 'started')", (attempt_id, payment_id)
        )
    amount_minor, currency, webhook_url = payment
    status, gateway_id = _call_gateway(payment_id, amount_minor, currency)
    event = event_body(uuid.uuid4(), f"payment.{status}", uuid.UUID(payment_id), webhook_url=webhook_url)
    with connection.transaction():
        connection.execute(
            "UPDATE attempts SET status = %s, gateway_id = %s, finished_at = clock_timestamp() WHERE id = %s",
            (status, gateway_id, attempt_id),
        )
        connection.execute(
            "INSERT INTO outbox (id, payment_id, type, queue, body) VALUES (%s, %s, %s, '', %s)",
            (json.loads(event)["id"], payment_id, f"payment.{status}", event),
        )
        connection.execute(
            "UPDATE payments SET status = %s, gateway_id = %s, updated_at = clock_timestamp() WHERE id = %s",
            (status, gateway_id, payment_id),
        )
    if webhook_url is not None:
        send_webhook.delay(json.loads(event))


@app.task
def send_webhook(event: dict[str, Any]) -> None:
    """Send a webhook and record its delivery."""
    [connection] = _connections
    body, headers = signed(event)
    url = event["data"]["webhook_url"]
    answer = _http.request("POST", url, body=body, headers=headers)
    if answer.status != 200:
        raise RuntimeError(f"the receiver answered {answer.status}")
    connection.execute(
        "INSERT INTO deliveries (id, payment_id, url) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (event["id"], event["data"]["payment_id"], url),
    )


@app.task
def fan_out(event: dict[str, Any], merchant_id: str) -> None:
    """Send an event to each endpoint of its merchant."""
    [connection] = _connections
    for (url,) in connection.execute("SELECT url FROM endpoints WHERE merchant_id = %s", (merchant_id,)):
        send_to_endpoint.delay(event, url)


@app.task
def send_to_endpoint(event: dict[str, Any], url: str) -> None:
    """Send an event to one endpoint and record the delivery."""
    [connection] = _connections
    body, headers = signed(event)
    answer = _http.request("POST", url, body=body, headers=headers)
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"the receiver answered {answer.status}")
    connection.execute(
        "INSERT INTO deliveries (id, payment_id, url) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (uuid.uuid5(uuid.UUID(event["id"]), url), event["data"]["payment_id"], url),
    )


def _call_gateway(payment_id: str, amount_minor: int, currency: str) -> tuple[str, str]:
    answer = _http.request(
        "POST",
        os.environ["GATEWAY_URL"] + "/charges",
        json={"reference": payment_id, "amount_minor": amount_minor, "currency": currency},
        headers={"Idempotency-Key": f"{payment_id}:charge"},
    )
    return ("succeeded" if answer.status == 201 else "failed"), answer.json()["id"]
