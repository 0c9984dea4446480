"""HTTP in front of an account at Stripe: keys, idempotency, forms, lists, search, and faults to order."""

from __future__ import annotations

import asyncio
import copy
import hmac
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from local.http.lean import LeanServer, Request, Response, json_response
from local.testkit.stripe.account import Account
from local.testkit.stripe.objects import Object, StripeError, invalid_request

API_KEY = "sk_test_of_the_fake_account"
WEBHOOK_SECRET = "whsec_of_the_fake_account"
API = "/v1/payment_intents"
REFUNDS = "/v1/refunds"
BALANCE = "/v1/balance_transactions"

# The parameters of Stripe's API that this account knows, by path. Stripe refuses those that it does not know.
_INTENT_PARAMETERS = (
    "amount automatic_payment_methods capture_method confirm currency error_on_requires_action expand metadata"
    " payment_method"
)
_PARAMETERS = {
    API: frozenset(_INTENT_PARAMETERS.split()),
    "capture": frozenset(("amount_to_capture", "expand", "metadata")),
    "cancel": frozenset(("cancellation_reason", "expand")),
    REFUNDS: frozenset(("amount", "expand", "metadata", "payment_intent")),
}
_INTEGERS = frozenset({"amount", "amount_to_capture"})
_BOOLEANS = frozenset({"confirm", "error_on_requires_action"})


class Fault(Enum):
    """What goes wrong with the next POST."""

    # The connection stays silent. The request was executed, or it was not.
    ANSWER_LOST = auto()
    REQUEST_LOST = auto()
    # An internal error, which Stripe keeps under the key.
    ERROR_AFTER = auto()
    ERROR_BEFORE = auto()
    # The request is turned away and nothing is kept.
    RATE_LIMITED = auto()
    CONFLICT = auto()
    LOCKED = auto()


class _Kept(NamedTuple):
    """What Stripe keeps under an idempotency key: the request, and its answer once there is one."""

    request: tuple[str, bytes]
    answer: tuple[int, Object] | None


class FakeStripe:
    """A Stripe for tests: `account` has what it did, `url` is where it listens.

    `faults` befall the next POSTs, one each, and `read_faults` are the statuses of the next answers to GETs.
    The next POSTs are executed once the events in `holds` are set, one each. `not_searchable` is how many
    PaymentIntents, the newest, a search does not know yet. `on_silence` is called when a client begins to wait for an
    answer that does not come.
    """

    def __init__(self) -> None:
        self.account = Account()
        self.faults: deque[Fault] = deque()
        self.read_faults: deque[int] = deque()
        self.not_searchable = 0
        self.holds: deque[asyncio.Event] = deque()
        self.on_silence: Callable[[], None] = lambda: None
        self.api_keys = {API_KEY}
        self.requests: list[Request] = []
        self.url = ""
        self._kept: dict[str, _Kept] = {}

    def forget_keys(self) -> None:
        """Prune the idempotency keys, as Stripe does after a day."""
        self._kept.clear()

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        self.requests.append(request)
        try:
            self._admit(request)
            if request.method == "POST":
                return await self._post(request)
            return json_response(200, self._get(request.path, dict(parse_qsl(request.query))))
        except StripeError as error:
            return json_response(error.status, error.body)

    def _admit(self, request: Request) -> None:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.api_keys:
            raise invalid_request(None, "Invalid API Key provided", 401)
        if request.method == "GET" and self.read_faults:
            raise StripeError(self.read_faults.popleft(), type="api_error", message="It cannot be read now.")

    async def _post(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        fault = self.faults.popleft() if self.faults else None
        _turn_away(fault)
        if fault is Fault.REQUEST_LOST:
            return await self._say_nothing(request)
        if key in self._kept:
            return _replay(self._kept[key], request)
        # Before the execution begins nothing is kept.
        form = _form_in(request)
        sent = (request.path, request.body)
        self._kept[key] = _Kept(sent, None)
        if self.holds:
            self.on_silence()
            await self.holds.popleft().wait()
        status, body = self._execute(request.path, form, fault)
        self._kept[key] = _Kept(sent, (status, body))
        return await self._say_nothing(request) if fault is Fault.ANSWER_LOST else json_response(status, body)

    async def _say_nothing(self, request: Request) -> Response:
        self.on_silence()
        await request.client_gone()
        return Response(504)

    def _execute(self, path: str, form: Object, fault: Fault | None) -> tuple[int, Object]:
        internal = 500, {"error": {"type": "api_error", "message": "An unknown error occurred"}}
        if fault is Fault.ERROR_BEFORE:
            return internal
        try:
            done = copy.deepcopy(self._expanded(self._change(path, form), form.get("expand", [])))
        except StripeError as error:
            return internal if fault is Fault.ERROR_AFTER else (error.status, copy.deepcopy(error.body))
        return internal if fault is Fault.ERROR_AFTER else (200, done)

    def _change(self, path: str, form: Object) -> Object:
        if path == API:
            return self.account.create_intent(form)
        if path == REFUNDS:
            return self.account.create_refund(form)
        id_, _, verb = path.removeprefix(f"{API}/").partition("/")
        if verb == "capture":
            return self.account.capture(id_, form)
        return self.account.cancel(id_, form.get("cancellation_reason"))

    def _get(self, path: str, query: dict[str, str]) -> Object:
        expand = [query["expand[]"]] if "expand[]" in query else []
        if path == API:
            since = int(query.get("created[gte]", 0))
            found = [intent for intent in self._newest_intents() if intent["created"] >= since]
            return _page(found, query, API)
        if path == f"{API}/search":
            return {**_page(self._search(query["query"]), query, path), "object": "search_result"}
        if path == REFUNDS:
            refunds = [one for one in self.account.refunds.values() if one["payment_intent"] == query["payment_intent"]]
            return _page(refunds[::-1], query, REFUNDS)
        if path == BALANCE:
            begin, end = int(query.get("created[gte]", 0)), int(query.get("created[lt]", 2**40))
            moved = [one for one in self.account.balance_transactions[::-1] if begin <= one["created"] < end]
            page = _page(moved, query, BALANCE)
            return {**page, "data": [self._with_source(one, expand) for one in page["data"]]}
        if path.startswith(f"{REFUNDS}/"):
            return self.account.refund(path.removeprefix(f"{REFUNDS}/"))
        if path.startswith(f"{API}/"):
            return self._expanded(self.account.intent(path.removeprefix(f"{API}/")), expand)
        raise invalid_request(None, f"Unrecognized request URL ({path}).", 404)

    def _with_source(self, moved: Object, expand: Sequence[str]) -> Object:
        """Return the balance transaction with its charge or refund, if that is asked for, and its PaymentIntent."""
        if "data.source.payment_intent" not in expand or not isinstance(moved["source"], str):
            return moved
        found = self.account.charges.get(moved["source"]) or self.account.refunds[moved["source"]]
        return {**moved, "source": {**found, "payment_intent": self.account.intents[found["payment_intent"]]}}

    def _newest_intents(self) -> list[Object]:
        return list(self.account.intents.values())[::-1]

    def _search(self, query: str) -> list[Object]:
        field, _, value = query.partition(":")
        name, wanted = field.removeprefix('metadata["').removesuffix('"]'), value.strip('"')
        return [one for one in self._newest_intents()[self.not_searchable :] if one["metadata"].get(name) == wanted]

    def _expanded(self, found: Object, expand: Sequence[str]) -> Object:
        if "latest_charge" in expand and found.get("latest_charge"):
            return {**found, "latest_charge": self.account.charges[found["latest_charge"]]}
        return found


@asynccontextmanager
async def fake_stripe() -> AsyncIterator[FakeStripe]:
    """Run a Stripe on a free port of loopback."""
    stripe = FakeStripe()
    server = LeanServer(stripe.handle)
    stripe.url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    try:
        yield stripe
    finally:
        await server.stop()


@contextmanager
def fake_stripe_in_a_thread() -> Iterator[FakeStripe]:
    """Run a Stripe beside a test that has no event loop."""
    started: Future[FakeStripe] = Future()
    over = threading.Event()

    async def serve() -> None:
        async with fake_stripe() as stripe:
            started.set_result(stripe)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield started.result(timeout=10)
    finally:
        over.set()
        thread.join()


def sign(body: bytes, signed_at: int, *secrets: str, scheme: str = "v1") -> str:
    """Return the header Stripe-Signature, with a signature for each secret."""
    payload = b"%d." % signed_at + body
    signatures = [hmac.digest(secret.encode(), payload, "sha256").hex() for secret in secrets]
    return ",".join([f"t={signed_at}", *(f"{scheme}={signature}" for signature in signatures)])


def _turn_away(fault: Fault | None) -> None:
    """Raise the error of a request that Stripe does not begin to execute."""
    if fault is Fault.RATE_LIMITED:
        raise invalid_request("rate_limit", "Request rate limit exceeded.", 429)
    if fault is Fault.LOCKED:
        raise invalid_request("lock_timeout", "This object cannot be accessed right now.", 429)
    if fault is Fault.CONFLICT:
        raise _key_in_use()


def _key_in_use() -> StripeError:
    message = "There is currently another in-progress request using this Stripe-Idempotency-Key."
    return StripeError(409, type="idempotency_error", code="idempotency_key_in_use", message=message)


def _replay(kept: _Kept, request: Request) -> Response:
    if kept.request != (request.path, request.body):
        message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        raise StripeError(400, type="idempotency_error", message=message)
    if kept.answer is None:
        raise _key_in_use()
    status, body = kept.answer
    return json_response(status, body, {"Idempotent-Replayed": "true"})


def _form_in(request: Request) -> Object:
    """Return the form's members, nested as their names are. Raises StripeError for one that Stripe does not know."""
    form: Object = {}
    for name, value in parse_qsl(request.body.decode(), keep_blank_values=True):
        outer, _, inner = name.partition("[")
        known = _PARAMETERS.get(request.path) or _PARAMETERS.get(request.path.rpartition("/")[2], frozenset())
        if outer not in known:
            raise invalid_request("parameter_unknown", f"Received unknown parameter: {outer}", param=outer)
        if not inner:
            form[outer] = _value(outer, value)
        elif inner.removesuffix("]").isdigit() or inner == "]":
            form.setdefault(outer, []).append(value)
        else:
            form.setdefault(outer, {})[inner.removesuffix("]")] = value
    return form


def _value(name: str, text: str) -> Any:
    if name in _INTEGERS:
        if not text.isdigit():
            raise invalid_request("parameter_invalid_integer", f"Invalid integer: {text}", param=name)
        return int(text)
    return text == "true" if name in _BOOLEANS else text


def _page(found: list[Object], query: dict[str, str], url: str) -> Object:
    limit = int(query.get("limit", 10))
    after = query.get("starting_after")
    begin = next(number for number, one in enumerate(found) if one["id"] == after) + 1 if after else 0
    page = found[begin : begin + limit]
    return {"object": "list", "data": page, "has_more": begin + limit < len(found), "url": url}
