"""The rivals' tables, as a user of an ORM writes them. Rivals without an ORM use them by SQL.

They have fewer constraints and indexes than ours and no partitions, which favours the rivals.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Index, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the tables. `Base.metadata.create_all` creates them."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSON}  # noqa: RUF012


class Payment(Base):
    """A payment: `pending`, `processing`, then `succeeded` or `failed`."""

    __tablename__ = "payments"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    description: Mapped[str | None]
    meta: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    webhook_url: Mapped[str | None]
    status: Mapped[str]
    gateway_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """A used key with the fingerprint of its order and the answer."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    response: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Event(Base):
    """A row of the outbox, kept after it has been published to `queue`."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_unpublished", "created_at", postgresql_where="published_at IS NULL"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    payment_id: Mapped[uuid.UUID]
    type: Mapped[str]
    queue: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]


class Attempt(Base):
    """A call of the gateway, committed before it is made and finished with its outcome."""

    __tablename__ = "attempts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    payment_id: Mapped[uuid.UUID]
    status: Mapped[str]
    gateway_id: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]


class Endpoint(Base):
    """A URL that gets every event of a merchant."""

    __tablename__ = "endpoints"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    merchant_id: Mapped[uuid.UUID] = mapped_column(index=True)
    url: Mapped[str]


class Delivery(Base):
    """A webhook that its receiver has accepted. Its id follows from the event's, so each is recorded once."""

    __tablename__ = "deliveries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[uuid.UUID]
    url: Mapped[str]
    delivered_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
