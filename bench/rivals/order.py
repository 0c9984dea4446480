"""Requests and answers of the rivals' APIs: the part of our contract that the bench uses."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Header, HTTPException
from pydantic import BaseModel, Field, HttpUrl

API_KEY = os.environ.get("API_KEY", "secret-api-key")


class Order(BaseModel):
    """The body of `POST /api/v1/payments`."""

    amount: Decimal = Field(gt=0, decimal_places=2, max_digits=18)
    currency: str = Field(pattern="^[A-Z]{3}$")
    description: str | None = None
    metadata: dict[str, Any] | None = None
    webhook_url: HttpUrl | None = None

    @property
    def amount_minor(self) -> int:
        """Return the amount in hundredths."""
        return int(self.amount * 100)

    @property
    def url(self) -> str | None:
        """Return the webhook's URL as text."""
        return str(self.webhook_url) if self.webhook_url else None

    @property
    def fingerprint(self) -> str:
        """Return a digest that distinguishes different orders with the same key."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


async def authenticate(x_api_key: Annotated[str, Header()]) -> None:
    """Refuse a request without the API key."""
    if not secrets.compare_digest(x_api_key.encode(), API_KEY.encode()):
        raise HTTPException(401, "unknown API key")


def answer_of(payment_id: uuid.UUID, order: Order) -> dict[str, Any]:
    """Return the answer to the merchant, which a repeated request gets again."""
    return {
        "payment_id": str(payment_id),
        "status": "pending",
        "amount": str(order.amount),
        "currency": order.currency,
        "description": order.description,
        "metadata": order.metadata,
        "created_at": datetime.now(UTC).isoformat(),
    }


def event_body(event_id: uuid.UUID, type_: str, payment_id: uuid.UUID, **data: Any) -> str:
    """Return a message as JSON text."""
    time = datetime.now(UTC).isoformat()
    return json.dumps(
        {"id": str(event_id), "type": type_, "time": time, "data": {"payment_id": str(payment_id), **data}}
    )
