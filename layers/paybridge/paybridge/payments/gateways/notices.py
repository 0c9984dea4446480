"""Read the notices of the gateway `default`: Standard Webhooks, with one of its records as data.

webhook-id: ntc_0195…           the same when it is sent again
webhook-timestamp: 1795910400
webhook-signature: v1,K5oZ…
{"type": "refund.declined", "timestamp": "2026-11-29T00:00:00Z", "data": {"reference": …, "operation_id": …}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.core.errors import SettingsInvalid
from paybridge.core.standard_webhooks import InvalidSecret, is_signed_by, parse_secret
from paybridge.payments.domain.notice import Claim, GatewayNotice, NoticeMalformed, NoticeRefused, is_recent

# Stored in the database and shown to operators, so both must be able to take the texts.
_ID = re.compile(r"[!-~]{1,255}")
_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
TYPE_CHARACTERS_MAX = 100
_SECONDS = re.compile(r"[0-9]{1,12}")

_CLAIMS = {
    "succeeded": Claim.DONE,
    "declined": Claim.FAILED,
    "failed": Claim.FAILED,
    "canceled": Claim.FAILED,
    "reversed": Claim.FAILED,
}


def read_standard_notice(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime
) -> GatewayNotice:
    """Return the notice in a request whose headers have lower-case names, once one of the `whsec_` secrets signed it.

    Raises NoticeRefused, NoticeMalformed for a notice that is signed and cannot be read, or SettingsInvalid.
    """
    id_, time, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(id_) or not _SECONDS.fullmatch(time) or not signatures:
        raise NoticeRefused("The headers webhook-id, webhook-timestamp and webhook-signature are needed.")
    if not is_signed_by(_keys(secrets), signatures, id_, int(time), body):
        raise NoticeRefused("The signature is not the gateway's.")
    if not is_recent(int(time), now):
        raise NoticeRefused("The notice was not signed within the last minutes.")
    return _notice_in(id_, body)


def _keys(secrets: Sequence[str]) -> list[bytes]:
    try:
        return [parse_secret(secret) for secret in secrets]
    except InvalidSecret as error:
        raise SettingsInvalid(f"A signing secret of the gateway's notices cannot be used. {error}") from None


def _notice_in(id_: str, body: bytes) -> GatewayNotice:
    try:
        content = orjson.loads(body)
    except ValueError:
        raise NoticeMalformed("The notice is not JSON.") from None
    type_ = content.get("type") if isinstance(content, dict) else None
    if not isinstance(type_, str) or not is_type(type_):
        raise NoticeMalformed("The notice has no type.")
    data = content.get("data")
    record = data if isinstance(data, dict) else {}
    operation_id = uuid_in(record.get("operation_id") or record.get("reference"))
    return GatewayNotice(id_, type_, operation_id, _CLAIMS.get(type_.rpartition(".")[2], Claim.OTHER))


def is_type(text: str) -> bool:
    """Tell whether the text is a name of a notice's type: lower-case words, joined by dots."""
    return len(text) <= TYPE_CHARACTERS_MAX and _TYPE.fullmatch(text) is not None


def uuid_in(value: Any) -> UUID | None:
    """Return the id of an operation of ours, None for another system's reference."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
