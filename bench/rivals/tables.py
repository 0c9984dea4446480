"""The tables of the rivals that keep payments, as an ORM's user writes them; those without an ORM use them by SQL.

They have fewer constraints and indexes than ours and no partitions, which is to the rivals' advantage.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Index, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables are declared on; `Base.metadata.create_all` makes them."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSON}  # noqa: RUF012


class Payment(Base):
    """One payment; `pending`, `processing`, then `succeeded` or `failed`."""

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
    """A key that was used, with what it was used for and what was answered."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    response: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Event(Base):
    """A row of the outbox: published to `queue` when there is one, kept afterwards."""

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
    """One call of the gateway: committed before it is made, finished with its outcome."""

    __tablename__ = "attempts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    payment_id: Mapped[uuid.UUID]
    status: Mapped[str]
    gateway_id: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]


class Delivery(Base):
    """A webhook that its receiver has taken; the id is that of the event, so that each is kept once."""

    __tablename__ = "deliveries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    payment_id: Mapped[uuid.UUID]
    url: Mapped[str]
    delivered_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
