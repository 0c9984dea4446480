"""Read Stripe's notices: its events, signed with the secret of the endpoint that it posts them to.

    Stripe-Signature: t=1795910400,v1=5257a869…,v1=…
    {"id": "evt_1…", "object": "event", "type": "refund.failed", "data": {"object": {"object": "refund", …}}}

There are several signatures while the secret is rolled. https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.payments.domain.notice import Claim, GatewayNotice, NoticeMalformed, NoticeRefused, is_recent
from paybridge.payments.gateways.notices import is_type, uuid_in
from paybridge.payments.gateways.stripe_reading import CAPTURE_ID, OPERATION_ID

HEADER = "stripe-signature"
# A test signature has the scheme v0.
_SCHEME = "v1"
_SECONDS = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-~]{1,255}")
_SIGNATURES_MAX = 20

# What an event says of the operation that its object names. All others are a reason to ask at most.
_CLAIMS = {
    "payment_intent.succeeded": Claim.DONE,
    "payment_intent.amount_capturable_updated": Claim.DONE,
    "payment_intent.payment_failed": Claim.FAILED,
    "payment_intent.canceled": Claim.FAILED,
    "charge.succeeded": Claim.DONE,
    "charge.failed": Claim.FAILED,
    "charge.expired": Claim.FAILED,
}
_REFUND_CLAIMS = {"succeeded": Claim.DONE, "failed": Claim.FAILED, "canceled": Claim.FAILED}


def read_stripe_notice(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayNotice:
    """Return the notice in a request whose headers have lower-case names, once one of the secrets signed it.

    Raises NoticeRefused, or NoticeMalformed for a notice that is signed and cannot be read.
    """
    signed_at = verify(secrets, headers.get(HEADER, ""), body)
    if not is_recent(signed_at, now):
        raise NoticeRefused("The notice was not signed within the last minutes.")
    try:
        event = orjson.loads(body)
    except ValueError:
        raise NoticeMalformed("The notice is not JSON.") from None
    id_, type_ = (event.get("id"), event.get("type")) if isinstance(event, dict) else (None, None)
    if not isinstance(id_, str) or not _ID.fullmatch(id_) or not isinstance(type_, str) or not is_type(type_):
        raise NoticeMalformed("The notice is no event of Stripe.")
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not isinstance(about, dict):
        return GatewayNotice(id_, type_, None, Claim.OTHER)
    return GatewayNotice(id_, type_, _operation_in(type_, about), _claim_in(type_, about))


def verify(secrets: Sequence[str], header: str, body: bytes) -> int:
    """Return the Unix time at which one of the secrets signed the body. Raises NoticeRefused if none did."""
    items = [item.partition("=") for item in header.split(",", _SIGNATURES_MAX)]
    times = [value for name, _, value in items if name.strip() == "t"]
    signatures = [value.encode(errors="replace") for name, _, value in items if name.strip() == _SCHEME]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not signatures:
        raise NoticeRefused("The header Stripe-Signature with a time and a signature is needed.")
    payload = times[0].encode() + b"." + body
    expected = [hmac.digest(secret.encode(), payload, "sha256").hex().encode() for secret in secrets]
    # Every pair is compared, each in constant time.
    matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(matches):
        raise NoticeRefused("The signature is not Stripe's.")
    return int(times[0])


def _operation_in(type_: str, about: Mapping[str, Any]) -> UUID | None:
    """Return the operation that the event's object names.

    A charge has copied the metadata of its PaymentIntent, and names the authorization even when it was captured. What
    was refunded of it says an event of the refund.
    """
    metadata = about.get("metadata")
    if not isinstance(metadata, dict) or type_ == "charge.refunded":
        return None
    return uuid_in(metadata.get(CAPTURE_ID)) or uuid_in(metadata.get(OPERATION_ID))


def _claim_in(type_: str, about: Mapping[str, Any]) -> Claim:
    if about.get("object") == "refund":
        return _REFUND_CLAIMS.get(str(about.get("status")), Claim.OTHER)
    return _CLAIMS.get(type_, Claim.OTHER)
