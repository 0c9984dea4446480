"""The payment gateway Stripe.

A fault of Stripe or the network never raises. `stripe_requests` says what is asked, `stripe_reading` what an answer
means, and an answer that says nothing is Unknown. What this relies on of Stripe is in
docs/decisions/0037-stripe-by-payment-intents.md.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import httpx

from paybridge.core.errors import SettingsInvalid, Unavailable
from paybridge.payments.domain.decline_codes import failure_message_of
from paybridge.payments.domain.gateway_answers import (
    Declined,
    Fault,
    GatewayAnswer,
    LookUpAnswer,
    NotFound,
    RateLimited,
    Unknown,
)
from paybridge.payments.domain.operation import FIRST_KINDS, Kind
from paybridge.payments.domain.statement import StatementPage, StatementUnavailable
from paybridge.payments.domain.stripe_amounts import AmountRefused
from paybridge.payments.gateways.reading import BY_WEIGHT
from paybridge.payments.gateways.stripe_balance import BALANCE_TRANSACTIONS, balance_between, read_balance_page
from paybridge.payments.gateways.stripe_http import ApiKey, StripeApi
from paybridge.payments.gateways.stripe_reading import (
    INVALID_METHOD,
    Page,
    is_about,
    read_answer,
    read_look_up,
    read_object,
    read_page,
)
from paybridge.payments.gateways.stripe_requests import (
    INTENT_SEARCH,
    INTENTS,
    REFUNDS,
    StripeOrder,
    expanded,
    intents_since,
    order_of,
    path_of,
    refunds_of,
    search_for,
)
from paybridge.payments.ports import GatewayRequest

# A look-up, with all its pages. It must not double the time of a batch.
LOOK_UP_SECONDS_MAX = 4.0
PAGES_MAX = 20
# Stripe's search may be behind by an hour. What is younger is found in the list alone.
SEARCHABLE_AFTER_SECONDS = 3600
_SERVER_ERROR = 500
# A page of a hundred balance transactions with their charges and PaymentIntents.
STATEMENT_SECONDS_MAX = 10.0


_Answer = TypeVar("_Answer")


class _Undecided(Exception):
    """A look-up ends here, with `answer`."""

    def __init__(self, answer: RateLimited | Unknown) -> None:
        super().__init__(repr(answer))
        self.answer = answer


class _MorePages(Exception):
    """A list has more than PAGES_MAX pages."""


class StripeGateway:
    """A PaymentGateway at Stripe.

    An operation takes at most `timeout_seconds`, a look-up LOOK_UP_SECONDS_MAX.
    """

    def __init__(self, url: str, key: ApiKey, timeout_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        self._api = StripeApi(url, key, tls)
        self._timeout_seconds = timeout_seconds

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        """Ask for the operation; see `paybridge.payments.ports.PaymentGateway`.

        What cannot be asked for is declined, and Stripe never hears of it.
        """
        if request.kind in FIRST_KINDS and not request.payment_method:
            return Declined(INVALID_METHOD, failure_message_of(INVALID_METHOD))
        try:
            order = order_of(request)
        except AmountRefused as error:
            return Declined(error.failure_code, str(error))
        return await self._call(self._ask(request, order), self._timeout_seconds)

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        """Look the operation up; see `paybridge.payments.ports.PaymentGateway`."""
        return await self._call(self._look_up(request), LOOK_UP_SECONDS_MAX)

    @property
    def covers_holds(self) -> bool:
        """Tell that a balance knows no holds; see `paybridge.payments.ports.StatementSource`."""
        return False

    async def read_statement(
        self, begin: datetime, end: datetime, after: str | None
    ) -> StatementPage | StatementUnavailable:
        """Return a page of the account's balance; see `paybridge.payments.ports.StatementSource`."""
        read = await self._call(self._read_balance(begin, end, after), STATEMENT_SECONDS_MAX)
        return StatementUnavailable(read.error) if isinstance(read, Unknown) else read

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _call(self, call: Coroutine[Any, Any, _Answer], seconds_max: float) -> _Answer | Unknown:
        # Loading the certificates is slow on a cold start and must not use up Stripe's deadline.
        self._api.open()
        return await _never_raising(call, seconds_max)

    async def _read_balance(
        self, begin: datetime, end: datetime, after: str | None
    ) -> StatementPage | StatementUnavailable:
        page = read_page(await self._api.get(BALANCE_TRANSACTIONS, balance_between(begin, end, after)))
        if not isinstance(page, Page):
            return StatementUnavailable(page.error if isinstance(page, Unknown) else "Stripe limits the rate of calls")
        return read_balance_page(page)

    async def _ask(self, request: GatewayRequest, order: StripeOrder) -> GatewayAnswer:
        answer = await self._api.post(order, request.idempotency_key)
        if answer.is_replayed and answer.status >= _SERVER_ERROR and request.kind in {Kind.CAPTURE, Kind.VOID}:
            # Stripe repeats its internal error for a day. A PaymentIntent is captured or canceled once whatever the
            # key, so another one is safe. It is the same for an hour, between two attempts of which this one lies.
            hour = int(answer.time.timestamp()) // 3600
            answer = await self._api.post(order, f"{request.idempotency_key}:{hour}")
        return read_answer(request, answer)

    async def _look_up(self, request: GatewayRequest) -> LookUpAnswer:
        path = path_of(request)
        try:
            if path is not None:
                return read_look_up(request, await self._api.get(path, expanded(request)))
            if request.kind is Kind.REFUND:
                return await self._find_refund(request)
            return await self._find_intent(request)
        except _Undecided as undecided:
            return undecided.answer
        except _MorePages:
            return Unknown(Fault.UNREADABLE, "Stripe has too many objects to look through")

    async def _find_refund(self, request: GatewayRequest) -> LookUpAnswer:
        """Look for the operation's id in the refunds of the PaymentIntent."""
        pages = [page async for page in self._pages(REFUNDS, refunds_of(request))]
        refunds = (refund for page in pages for refund in page)
        return _weightiest([read_object(request, refund) for refund in refunds if is_about(request, refund)])

    async def _find_intent(self, request: GatewayRequest) -> LookUpAnswer:
        """Look for the operation's id in the PaymentIntents since it began, the newest first.

        Where they are too many, search for it. A search finds nothing new, so the list must reach back far enough.
        """
        oldest_at = time.time()
        try:
            async for intents in self._pages(INTENTS, intents_since(request.operation_id)):
                found = await self._read_intents(request, intents)
                if not isinstance(found, NotFound):
                    return found
                oldest_at = min([oldest_at, *(intent["created"] for intent in intents)])
        except _MorePages:
            page = await self._page(INTENT_SEARCH, search_for(request.operation_id))
            found = await self._read_intents(request, page.objects)
            if isinstance(found, NotFound) and oldest_at > time.time() - SEARCHABLE_AFTER_SECONDS:
                raise
            return found
        return NotFound()

    async def _read_intents(self, request: GatewayRequest, page: Sequence[Mapping[str, Any]]) -> LookUpAnswer:
        """Read those PaymentIntents of a page that have the operation's id, as they are now and with their charges."""
        ids = [intent["id"] for intent in page if is_about(request, intent)]
        answers = [await self._api.get(f"{INTENTS}/{id_}", expanded(request)) for id_ in ids]
        return _weightiest([read_look_up(request, answer) for answer in answers])

    async def _pages(self, path: str, parameters: Mapping[str, str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the pages of a list. Raises _Undecided, and _MorePages in place of the page after PAGES_MAX."""
        after: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            page = await self._page(path, {**parameters, **after})
            yield page.objects
            if not page.has_more:
                return
            after = {"starting_after": page.objects[-1]["id"]}
        raise _MorePages

    async def _page(self, path: str, parameters: Mapping[str, str]) -> Page:
        page = read_page(await self._api.get(path, parameters))
        if isinstance(page, Page):
            return page
        raise _Undecided(page)


def _weightiest(found: Sequence[LookUpAnswer]) -> LookUpAnswer:
    return next((each for kind in BY_WEIGHT for each in found if isinstance(each, kind)), NotFound())


async def _never_raising(call: Coroutine[Any, Any, _Answer], seconds_max: float) -> _Answer | Unknown:
    try:
        async with asyncio.timeout(seconds_max):
            return await call
    except TimeoutError:
        return Unknown(Fault.NO_ANSWER, "no answer before the deadline")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Unknown(Fault.UNREADABLE, f"an answer that cannot be read: {type(error).__name__}")
    except httpx.HTTPError as error:
        return Unknown(Fault.UNREACHABLE, f"{type(error).__name__}")
    except (Unavailable, SettingsInvalid) as error:
        # Without its key Stripe was not asked.
        return Unknown(Fault.NOT_SERVED, str(error))
