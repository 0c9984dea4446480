"""The payment gateway over HTTP.

A fault of the gateway or the network never raises. An answer that is no clear yes or no is Unknown, and the caller
looks the charge up by our reference. docs/decisions/0009-gateway-client.md says why the client is pyreqwest.
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
# A look-up is a quick read. It must not double the time of a batch.
LOOKUP_TIMEOUT = timedelta(seconds=2)
# Gateways close idle connections too. This is well before most of them do.
KEEPALIVE = timedelta(seconds=15)
ANSWER_BYTES_MAX = 64 * 1024
USER_AGENT = "Paybridge"

# The statuses that carry a charge: made, made before, declined.
_ANSWERS = frozenset({200, 201, 402})
_REJECTIONS = frozenset({400, 422})
# Stored in the database and shown to merchants, so both must be able to take the text.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")
_FAILURE_CODE = re.compile(r"[a-z0-9_]{1,64}")

_TIMEOUT = "gateway_timeout"
_ERROR = "gateway_error"

_Outcome = TypeVar("_Outcome")


class AnswerTooLarge(ValueError):
    """The gateway's answer is larger than ANSWER_BYTES_MAX."""


class HttpGateway:
    """A PaymentGateway at `url` with one pool of connections, opened on first use.

    A charge takes at most `timeout_seconds`, from connecting to the last byte of the answer. Certificates are verified
    against the system's authorities, and against `authority_pem` if given.
    """

    def __init__(self, url: str, timeout_seconds: float, authority_pem: bytes | None = None) -> None:
        self._charges_url = Url(f"{url}/charges")
        self._timeout = timedelta(seconds=timeout_seconds)
        self._authority_pem = authority_pem
        self._pool: Client | None = None

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Ask for the charge; see `paybridge.payments.ports.PaymentGateway`."""
        return await _never_raising(self._post_charge(request))

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """Look the charge up by our reference; None if the gateway knows of no such charge."""
        return await _never_raising(self._get_charge(request))

    async def close(self) -> None:
        """Close the pool."""
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
        status, answer = await _send(post)
        return _read_answer(request, status, answer)

    async def _get_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        get = self._client().get(self._charges_url).query({"reference": str(request.payment_id)})
        status, answer = await _send(get.timeout(LOOKUP_TIMEOUT))
        if status != 200:
            return Unknown(_ERROR, f"the gateway answered {status} to a look-up")
        records = orjson.loads(answer)
        found = [_read_charge(request, record) for record in records if record["kind"] == "charge"]
        # A successful charge outweighs all other records, and an unclear one outweighs a decline.
        return next((each for kind in (Charged, Unknown, Declined) for each in found if isinstance(each, kind)), None)

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
        # A compressed answer could unpack to any size, so none is asked for.
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


async def _send(request: RequestBuilder) -> tuple[int, bytes]:
    """Send the request and return status and body. Raises PyreqwestError, TimeoutError or AnswerTooLarge."""
    async with request.build_streamed() as response:
        # This reads up to the limit or the end. Leaving the block before the end closes the connection.
        body = await response.body_reader.read(ANSWER_BYTES_MAX + 1) or b""
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerTooLarge
        return response.status, bytes(body)


def _read_answer(request: ChargeRequest, status: int, body: bytes) -> GatewayOutcome | Rejected:
    if status in _ANSWERS:
        return _read_charge(request, orjson.loads(body))
    if status in _REJECTIONS:
        return Rejected(f"the gateway answered {status}")
    # Anything else (a wrong login, a redirect, a proxy's page) says nothing about the charge.
    return Unknown(_ERROR, f"the gateway answered {status}")


def _read_charge(request: ChargeRequest, charge: dict[str, Any]) -> GatewayOutcome:
    """Return the outcome of a charge on the gateway's record; Unknown unless it is clear and about our charge."""
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
