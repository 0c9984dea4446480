"""The payment gateway over HTTP.

A fault of the gateway or the network never raises. `reading` says what an answer means, and an answer that says nothing
is Unknown. docs/decisions/0009-gateway-client.md says why the client is pyreqwest.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.request import RequestBuilder

from paybridge.core.clock import process_time
from paybridge.payments.domain.gateway_answers import Fault, GatewayAnswer, LookUpAnswer, NotFound, Unknown
from paybridge.payments.domain.operation import FIRST_KINDS, Kind
from paybridge.payments.domain.statement import StatementPage, StatementUnavailable
from paybridge.payments.gateways.reading import TOO_MANY_REQUESTS, read_answer, read_look_up_answer
from paybridge.payments.gateways.statement_reading import StatementPlace, read_statement_page
from paybridge.payments.ports import GatewayRequest

# As many calls as the largest batch of the event source mapping that one environment takes at a time.
CONNECTIONS_MAX = 1000
# A look-up is a quick read. It must not double the time of a batch.
LOOKUP_TIMEOUT = timedelta(seconds=2)
# Gateways close idle connections too. This is well before most of them do.
KEEPALIVE = timedelta(seconds=15)
ANSWER_BYTES_MAX = 64 * 1024
# A page of a statement. A gateway without pages answers with a whole day.
STATEMENT_BYTES_MAX = 8 * 1024 * 1024
USER_AGENT = "Paybridge"

PATHS = {
    Kind.CHARGE: "/charges",
    Kind.AUTHORIZATION: "/authorizations",
    Kind.CAPTURE: "/captures",
    Kind.VOID: "/voids",
    Kind.REFUND: "/refunds",
}

_Answer = TypeVar("_Answer")


class HttpAnswer(NamedTuple):
    """Status, body and Retry-After of an answer, and when it came."""

    status: int
    body: bytes
    retry_after: str | None
    time: datetime


class AnswerTooLarge(ValueError):
    """The gateway's answer is larger than ANSWER_BYTES_MAX."""


class HttpGateway:
    """A PaymentGateway at `url` with one pool of connections, opened on first use.

    A request takes at most `timeout_seconds`, from connecting to the last byte of the answer. Certificates are verified
    against the system's authorities, and against `authority_pem` if given.
    """

    def __init__(self, url: str, timeout_seconds: float, authority_pem: bytes | None = None) -> None:
        self._urls = {kind: Url(f"{url}{path}") for kind, path in PATHS.items()}
        self._statement_url = Url(f"{url}/statement")
        self._timeout = timedelta(seconds=timeout_seconds)
        self._authority_pem = authority_pem
        self._pool: Client | None = None

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        """Ask for the operation; see `paybridge.payments.ports.PaymentGateway`."""
        return await _never_raising(self._post(request))

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        """Look the operation up by our ids; see `paybridge.payments.ports.PaymentGateway`."""
        return await _never_raising(self._get(request))

    @property
    def covers_holds(self) -> bool:
        """Tell that the statement has everything; see `paybridge.payments.ports.StatementSource`."""
        return True

    async def read_statement(
        self, begin: datetime, end: datetime, after: str | None
    ) -> StatementPage | StatementUnavailable:
        """Return a page of the statement; see `paybridge.payments.ports.StatementSource`."""
        read = await _never_raising(self._read_statement(StatementPlace.of(begin, end, after)))
        return StatementUnavailable(read.error) if isinstance(read, Unknown) else read

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _post(self, request: GatewayRequest) -> GatewayAnswer:
        headers = {"Content-Type": "application/json", "Idempotency-Key": request.idempotency_key}
        post = self._client().post(self._urls[request.kind]).headers(headers).body_bytes(orjson.dumps(_body(request)))
        return read_answer(request, *await _send(post))

    async def _get(self, request: GatewayRequest) -> LookUpAnswer:
        # The operation narrows the list, which is long for a payment with many refunds.
        found = await self._look_up(request, operation_id=str(request.operation_id))
        if isinstance(found, NotFound) and request.kind is Kind.REFUND and request.gateway_id is not None:
            # The gateway has a refund that was recorded late under the id of the one that had been given up.
            return await self._look_up(request)
        return found

    async def _look_up(self, request: GatewayRequest, **narrowed: str) -> LookUpAnswer:
        query = {"reference": str(request.payment_id), **narrowed}
        get = self._client().get(self._urls[Kind.CHARGE]).query(query)
        return read_look_up_answer(request, *await _send(get.timeout(LOOKUP_TIMEOUT)))

    async def _read_statement(self, place: StatementPlace) -> StatementPage | StatementUnavailable:
        get = self._client().get(self._statement_url).query(place.query())
        async with get.build_streamed() as response:
            body = await response.body_reader.read(STATEMENT_BYTES_MAX + 1) or b""
            if len(body) > STATEMENT_BYTES_MAX:
                return StatementUnavailable(f"a page of the statement has more than {STATEMENT_BYTES_MAX} bytes")
            return read_statement_page(place, response.status, bytes(body), response.get_header("next-after"))

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


def _body(request: GatewayRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "reference": request.payment_id,
        "operation_id": request.operation_id,
        "amount_minor": request.amount_minor,
        "currency": request.currency,
    }
    if request.kind in FIRST_KINDS:
        body["payment_method"] = request.payment_method
    elif request.target_gateway_id is not None:
        body["target_id"] = request.target_gateway_id
    return body


async def _never_raising(call: Coroutine[Any, Any, _Answer]) -> _Answer | Unknown:
    try:
        return await call
    except TimeoutError:
        return Unknown(Fault.NO_ANSWER, "no answer before the deadline")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unknown(Fault.UNREADABLE, f"an answer that cannot be read: {type(error).__name__}")
    except PyreqwestError as error:
        return Unknown(Fault.UNREACHABLE, f"{type(error).__name__}")


async def _send(request: RequestBuilder) -> HttpAnswer:
    """Send the request and return the answer. Raises PyreqwestError, TimeoutError or AnswerTooLarge."""
    async with request.build_streamed() as response:
        # This reads up to the limit or the end. Leaving the block before the end closes the connection.
        body = await response.body_reader.read(ANSWER_BYTES_MAX + 1) or b""
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerTooLarge
        # Retry-After says something about a limited rate alone, and no other answer pays for reading it.
        retry_after = response.get_header("retry-after") if response.status == TOO_MANY_REQUESTS else None
        return HttpAnswer(response.status, bytes(body), retry_after, process_time())
