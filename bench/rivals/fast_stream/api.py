"""`POST /api/v1/payments` on asyncpg: payment, key and event in one transaction."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException

from bench.rivals.order import Order, answer_of, authenticate, event_body

CONNECTIONS_MAX = 16


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the pool open while the application runs."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=CONNECTIONS_MAX) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer once the pool is open."""
    return {"status": "ok"}


@app.post("/api/v1/payments", status_code=202, dependencies=[Depends(authenticate)])
async def create_payment(order: Order, idempotency_key: Annotated[str, Header(max_length=255)]) -> dict[str, Any]:
    """Accept a payment once for each key."""
    try:
        async with app.state.pool.acquire() as connection, connection.transaction():
            return await _accept(connection, order, idempotency_key)
    except asyncpg.UniqueViolationError:
        return await _answered_before(order, idempotency_key)


async def _accept(connection: Any, order: Order, key: str) -> dict[str, Any]:
    payment_id, event_id = uuid.uuid4(), uuid.uuid4()
    answer = answer_of(payment_id, order)
    await connection.execute(
        "INSERT INTO idempotency_keys (key, fingerprint, response) VALUES ($1, $2, $3)",
        *(key, order.fingerprint, json.dumps(answer)),
    )
    await connection.execute(
        "INSERT INTO payments (id, amount_minor, currency, description, metadata, webhook_url, status)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'pending')",
        *(payment_id, order.amount_minor, order.currency, order.description, json.dumps(order.metadata), order.url),
    )
    body = event_body(event_id, "payment.created", payment_id, amount=str(order.amount), currency=order.currency)
    await connection.execute(
        "INSERT INTO outbox (id, payment_id, type, queue, body) VALUES ($1, $2, 'payment.created', 'payments.new', $3)",
        *(event_id, payment_id, body),
    )
    return answer


async def _answered_before(order: Order, key: str) -> dict[str, Any]:
    used = await app.state.pool.fetchrow("SELECT fingerprint, response FROM idempotency_keys WHERE key = $1", key)
    if used["fingerprint"] != order.fingerprint:
        raise HTTPException(422, "this key was used for another order")
    answer: dict[str, Any] = json.loads(used["response"])
    return answer
