"""What the relay publishes for redrives."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from paybridge.database.database import Transaction
from paybridge.dead_letters.domain import redrive_headers
from paybridge.dead_letters.store import changing
from paybridge.dead_letters.store.changing import WantedMessage
from paybridge.outbox.ports import Message
from paybridge.outbox.routes import NEW_PAYMENTS_KEY, REDRIVE_EXCHANGE, SHARD_HEADER

# Bodies that the relay holds at once. It has 512 MB of memory, and copies a body twice on its way.
BATCH_BYTES_MAX = 32 * 1024 * 1024
SHORT_STRING_BYTES_MAX = 255


class DeadLetterRedrives:
    """The relay's port to dead letters: `paybridge.outbox.ports.Redrives`."""

    def load(self, transaction: Transaction, row_ids: Sequence[str]) -> Mapping[str, Message | None]:
        """Return the messages of the rows; None for one whose dead letter has died again since.

        A row is missing if its dead letter is locked, or too much for this batch.
        """
        loaded: dict[str, Message | None] = {
            wanted.row_id: _message(wanted) for wanted in changing.load(transaction, row_ids, BATCH_BYTES_MAX)
        }
        missing = [row_id for row_id in row_ids if row_id not in loaded]
        if missing:
            wanted_later = changing.still_wanted(transaction, missing)
            loaded |= dict.fromkeys(row_id for row_id in missing if row_id not in wanted_later)
        return loaded

    def settle(self, transaction: Transaction, row_ids: Sequence[str]) -> None:
        """Mark the dead letters of the rows as redriven."""
        changing.settle(transaction, row_ids)


def _message(wanted: WantedMessage) -> Message:
    headers = {name: _amqp_value(value) for name, value in redrive_headers(wanted.headers, wanted.redrive_id).items()}
    if wanted.queue == NEW_PAYMENTS_KEY and wanted.payment_id is not None:
        # Where the queue has shards the broker hashes it. A function that dead-letters a message drops its headers.
        headers.setdefault(SHARD_HEADER, str(wanted.payment_id))
    return Message(
        id=_short(wanted.message_id),
        type=_short(wanted.message_type),
        exchange=REDRIVE_EXCHANGE,
        routing_key=wanted.queue,
        body=wanted.body,
        correlation_id=_short(wanted.correlation_id),
        headers=headers,
    )


def _short(text: str) -> str:
    """Return what AMQP's short strings can hold of a text. A replaced byte takes three."""
    return text.encode()[:SHORT_STRING_BYTES_MAX].decode(errors="ignore")


def _amqp_value(value: Any) -> Any:
    """Return a stored header as AMQP has it: bytes that are no text were stored in base64."""
    if isinstance(value, dict):
        if value.keys() == {"base64"} and isinstance(value["base64"], str):
            try:
                return bytearray(base64.b64decode(value["base64"], validate=True))
            except binascii.Error:
                return value
        return {name: _amqp_value(item) for name, item in value.items()}
    return [_amqp_value(item) for item in value] if isinstance(value, list) else value
