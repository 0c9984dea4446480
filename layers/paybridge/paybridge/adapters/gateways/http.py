"""The payment gateway over HTTP.

Nothing here raises for the gateway's or the network's fault. What is not a clear yes or no is Unknown, and the caller
asks again by our own reference.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp
import orjson

from paybridge.ports import Charged, ChargeRequest, Declined, GatewayOutcome, Rejected, Unknown

# As many calls as the largest batch of the event source mapping that one environment takes at a time.
CONNECTIONS_MAX = 1000
# Asking what became of a charge is a quick read; it must not double the time that a batch takes.
LOOKUP_TIMEOUT_SECONDS = 2.0
ANSWER_BYTES_MAX = 64 * 1024

# The statuses that carry a charge: made, made before, declined.
_ANSWERS = frozenset({200, 201, 402})
_REJECTIONS = frozenset({400, 422})
# What is kept in the database and shown to merchants must be text that both can take.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")
_FAILURE_CODE = re.compile(r"[a-z0-9_]{1,64}")

_TIMEOUT = "gateway_timeout"
_ERROR = "gateway_error"

_Outcome = TypeVar("_Outcome")


class HttpGateway:
    """A PaymentGateway at `url`; one pool of connections, made on first use inside a running event loop."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Asks for the charge; see `paybridge.ports.PaymentGateway`."""
        return await _never_raising(self._post_charge(request))

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """What the gateway knows of the charge with our reference; None when nothing."""
        return await _never_raising(self._get_charge(request))

    async def close(self) -> None:
        """Closes the pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post_charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        body = {
            "reference": str(request.payment_id),
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "payment_method": request.payment_method,
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": request.idempotency_key}
        async with self._pool().post(
            self._url + "/charges", data=orjson.dumps(body), headers=headers, allow_redirects=False
        ) as response:
            return _outcome_of(request, response.status, await _read(response))

    async def _get_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        async with self._pool().get(
            self._url + "/charges",
            params={"reference": str(request.payment_id)},
            timeout=aiohttp.ClientTimeout(total=LOOKUP_TIMEOUT_SECONDS),
            allow_redirects=False,
        ) as response:
            body = await _read(response)
        if response.status != 200:
            return Unknown(_ERROR, f"the gateway answered {response.status} to a look-up")
        found = [_outcome_of_charge(request, one) for one in orjson.loads(body) if one["kind"] == "charge"]
        # A charge that went through outweighs whatever else is on record, and an unclear one outweighs a decline.
        return next((one for kind in (Charged, Unknown, Declined) for one in found if isinstance(one, kind)), None)

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=15),
                timeout=self._timeout,
                trust_env=False,
            )
        return self._session


async def _never_raising(call: Coroutine[Any, Any, _Outcome]) -> _Outcome | Unknown:
    try:
        return await call
    except TimeoutError:
        return Unknown(_TIMEOUT, "no answer before the deadline")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(_ERROR, f"{type(error).__name__}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unknown(_ERROR, f"an answer that cannot be read: {type(error).__name__}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return body


def _outcome_of(request: ChargeRequest, status: int, body: bytes) -> GatewayOutcome | Rejected:
    if status in _ANSWERS:
        return _outcome_of_charge(request, orjson.loads(body))
    if status in _REJECTIONS:
        return Rejected(f"the gateway answered {status}")
    # Anything else (a wrong login, a redirect, a proxy's page) tells about the way there and not about the charge.
    return Unknown(_ERROR, f"the gateway answered {status}")


def _outcome_of_charge(request: ChargeRequest, charge: dict[str, Any]) -> GatewayOutcome:
    """What a charge on the gateway's record says; Unknown unless it is ours and says it clearly."""
    ours = (str(request.payment_id), request.amount_minor, request.currency)
    if (charge["reference"], charge["amount_minor"], charge["currency"]) != ours:
        return Unknown(_ERROR, "an answer about another charge")
    gateway_id, status = charge["id"], charge["status"]
    if not _GATEWAY_ID.fullmatch(gateway_id):
        return Unknown(_ERROR, "an answer without a usable id")
    if status == "succeeded":
        return Charged(gateway_id)
    if status != "declined":
        return Unknown(_ERROR, "a status that is neither succeeded nor declined")
    code = charge.get("failure_code")
    if not isinstance(code, str) or not _FAILURE_CODE.fullmatch(code):
        code = "card_declined"
    return Declined(failure_code=code, message=code.replace("_", " ").capitalize() + ".")
