"""The payment gateway over HTTP.

Nothing here raises for the gateway's or the network's fault. What is not a clear yes or no is Unknown, and the caller
asks again by our own reference. docs/decisions/0009-gateway-client.md says why the client is pyreqwest.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.request import RequestBuilder

from paybridge.payments.ports import Charged, ChargeRequest, Declined, GatewayOutcome, Rejected, Unknown

# As many calls as the largest batch of the event source mapping that one environment takes at a time.
CONNECTIONS_MAX = 1000
# Asking what became of a charge is a quick read; it must not double the time that a batch takes.
LOOKUP_TIMEOUT = timedelta(seconds=2)
# Gateways close idle connections too; this is well before most of them do.
KEEPALIVE = timedelta(seconds=15)
ANSWER_BYTES_MAX = 64 * 1024
USER_AGENT = "Paybridge"

# The statuses that carry a charge: made, made before, declined.
_ANSWERS = frozenset({200, 201, 402})
_REJECTIONS = frozenset({400, 422})
# What is kept in the database and shown to merchants must be text that both can take.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")
_FAILURE_CODE = re.compile(r"[a-z0-9_]{1,64}")

_TIMEOUT = "gateway_timeout"
_ERROR = "gateway_error"

_Outcome = TypeVar("_Outcome")


class AnswerTooLarge(ValueError):
    """The gateway's answer is larger than ANSWER_BYTES_MAX."""


class HttpGateway:
    """A PaymentGateway at `url`; one pool of connections, made on first use.

    A charge takes `timeout_seconds` at most, from connecting to the last byte of the answer. Certificates are verified
    against the system's authorities, and `authority_pem` where there is one.
    """

    def __init__(self, url: str, timeout_seconds: float, authority_pem: bytes | None = None) -> None:
        self._charges_url = Url(f"{url}/charges")
        self._timeout = timedelta(seconds=timeout_seconds)
        self._authority_pem = authority_pem
        self._pool: Client | None = None

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Asks for the charge; see `paybridge.payments.ports.PaymentGateway`."""
        return await _never_raising(self._post_charge(request))

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """What the gateway knows of the charge with our reference; None when nothing."""
        return await _never_raising(self._get_charge(request))

    async def close(self) -> None:
        """Closes the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _post_charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        body = {
            "reference": str(request.payment_id),
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "payment_method": request.payment_method,
        }
        headers = {"Content-Type": "application/json", "Idempotency-Key": request.idempotency_key}
        post = self._client().post(self._charges_url).headers(headers).body_bytes(orjson.dumps(body))
        status, answer = await _answer_to(post)
        return _outcome_of(request, status, answer)

    async def _get_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        get = self._client().get(self._charges_url).query({"reference": str(request.payment_id)})
        status, answer = await _answer_to(get.timeout(LOOKUP_TIMEOUT))
        if status != 200:
            return Unknown(_ERROR, f"the gateway answered {status} to a look-up")
        found = [_outcome_of_charge(request, one) for one in orjson.loads(answer) if one["kind"] == "charge"]
        # A charge that went through outweighs whatever else is on record, and an unclear one outweighs a decline.
        return next((one for kind in (Charged, Unknown, Declined) for one in found if isinstance(one, kind)), None)

    def _client(self) -> Client:
        if self._pool is None:
            self._pool = self._build_client()
        return self._pool

    def _build_client(self) -> Client:
        builder = (
            ClientBuilder()
            .user_agent(USER_AGENT)
            .timeout(self._timeout)
            .max_connections(CONNECTIONS_MAX)
            .pool_timeout(self._timeout)
            .pool_idle_timeout(KEEPALIVE)
            .http1_only()
            .no_proxy()
            .follow_redirects(False)
            .referer(False)
        )
        # A compressed answer could unpack to any size; nobody has asked for one.
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
        if self._authority_pem is not None:
            builder = builder.add_root_certificate_pem(self._authority_pem)
        return builder.build()


async def _never_raising(call: Coroutine[Any, Any, _Outcome]) -> _Outcome | Unknown:
    try:
        return await call
    except TimeoutError:
        return Unknown(_TIMEOUT, "no answer before the deadline")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unknown(_ERROR, f"an answer that cannot be read: {type(error).__name__}")
    except PyreqwestError as error:
        return Unknown(_ERROR, f"{type(error).__name__}")


async def _answer_to(request: RequestBuilder) -> tuple[int, bytes]:
    """Sends the request; status and body of the answer. Raises PyreqwestError, TimeoutError or AnswerTooLarge."""
    async with request.build_streamed() as response:
        # It reads until so much or the end has come; leaving the block before the end closes the connection.
        body = await response.body_reader.read(ANSWER_BYTES_MAX + 1) or b""
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerTooLarge
        return response.status, bytes(body)


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
