"""`POST /api/v1/payments` before Celery: commit, then send the task. A crash in between loses the payment."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import psycopg
from fastapi import Depends, FastAPI, Header, HTTPException
from psycopg.types.json import Json
from psycopg_pool import ConnectionPool

from bench.rivals.celery_tasks.tasks import charge
from bench.rivals.order import Order, answer_of, authenticate

CONNECTIONS_MAX = 16


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the pool open while the application runs."""
    with ConnectionPool(os.environ["DATABASE_URL"], min_size=4, max_size=CONNECTIONS_MAX) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer once the pool is open."""
    return {"status": "ok"}


# Not `async def`: Celery's calls block on the broker, so FastAPI runs this in a thread.
@app.post("/api/v1/payments", status_code=202, dependencies=[Depends(authenticate)])
def create_payment(order: Order, idempotency_key: Annotated[str, Header(max_length=255)]) -> dict[str, Any]:
    """Accept a payment once for each key."""
    payment_id = uuid.uuid4()
    answer = answer_of(payment_id, order)
    try:
        with app.state.pool.connection() as connection:
            _accept(connection, payment_id, order, idempotency_key, answer)
    except psycopg.errors.UniqueViolation:
        return _answered_before(order, idempotency_key)
    charge.delay(str(payment_id))
    return answer


def _accept(connection: Any, payment_id: uuid.UUID, order: Order, key: str, answer: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO idempotency_keys (key, fingerprint, response) VALUES (%s, %s, %s)",
        (key, order.fingerprint, json.dumps(answer)),
    )
    connection.execute(
        "INSERT INTO payments (id, amount_minor, currency, description, metadata, webhook_url, status)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'pending')",
        (payment_id, order.amount_minor, order.currency, order.description, Json(order.metadata), order.url),
    )


def _answered_before(order: Order, key: str) -> dict[str, Any]:
    with app.state.pool.connection() as connection:
        fingerprint, response = connection.execute(
            "SELECT fingerprint, response FROM idempotency_keys WHERE key = %s", (key,)
        ).fetchone()
    if fingerprint != order.fingerprint:
        raise HTTPException(422, "this key was used for another order")
    answer: dict[str, Any] = json.loads(response)
    return answer
