"""The API function in process: API Gateway events in, as Lambda gets them, and answers out."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools import Logger

from api.app import create_app
from api.handler import ApiHandler
from paybridge.access.domain.api_keys import key_hash
from paybridge.access.domain.caller import Principal
from paybridge.access.identify import CallerDirectory
from paybridge.access.ports import TokenBuckets
from paybridge.access.register import register_merchant
from paybridge.access.tokens import TokenVerifier
from paybridge.core.clock import SystemClock
from paybridge.core.errors import BrokerUnavailable
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.wiring.api import ApiServices
from paybridge.wiring.notices import NoticeReader

MERCHANT_KEY = "secret-api-key"
OTHER_KEY = "secret-other-key"
OPERATOR_KEY = "secret-operator-key"
WEBHOOK_SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
NO_NOTICE_READERS: Mapping[str, NoticeReader] = {}
ORDER = {"amount": "100.50", "currency": "RUB"}


class ReachableBroker:
    """A broker that answers."""

    def check(self) -> None:
        """Answers."""


class AbsentBroker:
    """A broker that does not."""

    def check(self) -> None:
        """Raises BrokerUnavailable."""
        raise BrokerUnavailable("The broker does not answer.")


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of the function."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class ApiClient:
    """Sends requests to the handler the way API Gateway does (payload format 2.0)."""

    def __init__(self, handler: Any, api_key: str | None = MERCHANT_KEY) -> None:
        self._handler = handler
        self._api_key = api_key

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, Any] | str | None = None,
        body: bytes | None = None,
        api_key: str | None = None,
    ) -> Answer:
        """Sends one request; `api_key` stands in for the client's own, the empty string for none.

        A `query` of text is sent exactly so.
        """
        key = self._api_key if api_key is None else api_key
        sent = {"host": "localhost:8000", **({"x-api-key": key} if key else {}), **(headers or {})}
        return self.send(http_event(method, path, headers=sent, query=query, body=body))

    def send(self, event: Any) -> Answer:
        """Sends an event as it is."""
        response = self._handler(event, None)
        text = response.get("body", "")
        raw = base64.b64decode(text) if response["isBase64Encoded"] else text.encode()
        headers = response.get("headers") or {
            name: values[-1] for name, values in response["multiValueHeaders"].items()
        }
        return Answer(response["statusCode"], headers, raw)

    def get(self, path: str, **options: Any) -> Answer:
        """Sends a GET."""
        return self.request("GET", path, **options)

    def order(self, path: str, members: Any = None, *, key: str | None = None, **options: Any) -> Answer:
        """Posts to `/api/v1/payments/<path>`, by default with a new idempotency key and no body."""
        body = members if isinstance(members, bytes | None) else json.dumps(members).encode()
        headers = {"idempotency-key": key or str(uuid.uuid4()), **options.pop("headers", {})}
        return self.request("POST", f"/api/v1/payments/{path}", headers=headers, body=body, **options)

    def create(self, order: Any = ORDER, *, key: str | None = None, **options: Any) -> Answer:
        """Posts a payment, by default with a new idempotency key; `order` may be raw bytes."""
        body = order if isinstance(order, bytes) else json.dumps(order).encode()
        headers = {
            "content-type": "application/json",
            "idempotency-key": key or str(uuid.uuid4()),
            **options.pop("headers", {}),
        }
        return self.request("POST", "/api/v1/payments", headers=headers, body=body, **options)


def http_event(
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    query: dict[str, Any] | str | None = None,
    body: bytes | None = None,
) -> dict[str, Any]:
    """An API Gateway HTTP event, with the body in base64 as for any body that is not known to be text."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query if isinstance(query, str) else urlencode(query or {}, doseq=True),
        "headers": headers,
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "gateway-request-id",
        },
        "isBase64Encoded": body is not None,
    }
    if body is not None:
        event["body"] = base64.b64encode(body).decode()
    return event


def register_demo_merchants(database: Database) -> None:
    """Registers two merchants and an operator under the keys above."""
    register_merchant(database, name="Demo", api_key=MERCHANT_KEY, webhook_secret=WEBHOOK_SECRET)
    register_merchant(database, name="Other", api_key=OTHER_KEY, webhook_secret=WEBHOOK_SECRET)
    register_merchant(database, name="Operator", api_key=OPERATOR_KEY, role="operator")


def principal_of(database: Database, api_key: str) -> Principal | None:
    """The caller with this key, None if there is none."""
    found = CallerDirectory(database).admit_key(key_hash(api_key), 0)
    return None if found is None else found.principal


def demo_merchant_id(database: Database) -> uuid.UUID:
    """The id of the merchant with MERCHANT_KEY."""
    principal = principal_of(database, MERCHANT_KEY)
    assert principal is not None
    assert principal.merchant_id is not None
    return principal.merchant_id


def api_services(
    database: Database,
    broker: Any = None,
    waits_max: int = 20,
    root_path: str = "",
    notice_readers: Mapping[str, NoticeReader] = NO_NOTICE_READERS,
    find_token_verifier: Callable[[], TokenVerifier | None] = lambda: None,
    buckets: TokenBuckets | None = None,
) -> ApiServices:
    """The services of a local API over this database."""
    return ApiServices(
        database=database,
        clock=SystemClock(),
        ids=Uuid7Ids(),
        broker=broker or ReachableBroker(),
        local_webhook_networks=LOOPBACK,
        waits_max=waits_max,
        environment_name="test",
        is_local=True,
        callers=CallerDirectory(database, buckets),
        find_token_verifier=find_token_verifier,
        gateway_names=frozenset({"default"}),
        root_path=root_path,
        release="",
        find_notice_reader=notice_readers.get,
    )


@contextmanager
def event_loop() -> Iterator[None]:
    """An event loop for Mangum in this thread. In Lambda, Mangum creates one that lives as long as the process."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def api_client(
    database: Database,
    *,
    broker: Any = None,
    waits_max: int = 20,
    root_path: str = "",
    notice_readers: Mapping[str, NoticeReader] = NO_NOTICE_READERS,
    find_token_verifier: Callable[[], TokenVerifier | None] = lambda: None,
    buckets: TokenBuckets | None = None,
) -> ApiClient:
    """A client of a separate API function, over a connection that the caller closes."""
    logger = Logger(service="api", level="CRITICAL")
    services = api_services(database, broker, waits_max, root_path, notice_readers, find_token_verifier, buckets)
    return ApiClient(ApiHandler(create_app(services, logger), logger))
