"""`POST /api/v1/payments` as the tutorials of FastAPI and SQLAlchemy write it: three objects, one commit."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bench.rivals.naive.database import engine_of
from bench.rivals.order import Order, answer_of, authenticate, event_body
from bench.rivals.tables import Event, IdempotencyKey, Payment


def create_app(engine: Engine) -> FastAPI:
    """Return the application over a database that has the rivals' tables."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    # Not `async def`: the ORM's calls block, so FastAPI runs this in a thread.
    @app.post("/api/v1/payments", status_code=202, dependencies=[Depends(authenticate)])
    def create_payment(order: Order, idempotency_key: Annotated[str, Header(max_length=255)]) -> dict[str, Any]:
        with Session(engine) as session:
            try:
                return _accept(session, order, idempotency_key)
            except IntegrityError:
                session.rollback()
                return _answered_before(session, order, idempotency_key)

    return app


def served() -> FastAPI:
    """Return the application that uvicorn serves."""
    return create_app(engine_of(connections_max=20))


def _accept(session: Session, order: Order, key: str) -> dict[str, Any]:
    payment_id, event_id = uuid.uuid4(), uuid.uuid4()
    answer = answer_of(payment_id, order)
    body = event_body(event_id, "payment.created", payment_id, amount=str(order.amount), currency=order.currency)
    session.add(
        Payment(
            id=payment_id,
            amount_minor=order.amount_minor,
            currency=order.currency,
            description=order.description,
            meta=order.metadata,
            webhook_url=order.url,
            status="pending",
        )
    )
    session.add(IdempotencyKey(key=key, fingerprint=order.fingerprint, response=json.dumps(answer)))
    session.add(Event(id=event_id, payment_id=payment_id, type="payment.created", queue="payments.new", body=body))
    session.commit()
    return answer


def _answered_before(session: Session, order: Order, key: str) -> dict[str, Any]:
    used = session.get_one(IdempotencyKey, key)
    if used.fingerprint != order.fingerprint:
        raise HTTPException(422, "this key was used for another order")
    answer: dict[str, Any] = json.loads(used.response)
    return answer
