"""The adapter of Stripe, against a Stripe on loopback and against servers that are none."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from local.testkit.loop_time import LoopTime
from local.testkit.raw_servers import Respond, raw_server
from local.testkit.stripe import account
from local.testkit.stripe.server import API_KEY, FakeStripe, Fault, fake_stripe
from paybridge.core.errors import SecretUnavailable
from paybridge.payments.domain import gateway_answers
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    GatewayAnswer,
    NotFound,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind, gateway_key
from paybridge.payments.gateways import stripe as adapter
from paybridge.payments.gateways.stripe import StripeGateway
from paybridge.payments.gateways.stripe_http import ANSWER_BYTES_MAX, API_VERSION
from paybridge.payments.ports import GatewayRequest
from tests.support.tls import self_signed, server_context

pytestmark = pytest.mark.integration

# How long to wait for an answer that comes, however busy the machine is.
TIMEOUT_SECONDS = 30.0
# An answer that never ends is given up before this, or the deadline does not work.
HANGS_AFTER_SECONDS = 30.0
JSON = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


class Key:
    """Stripe's secret key as Secrets Manager holds it, `stored`, and how often it was read."""

    def __init__(self, stored: str = API_KEY) -> None:
        self.stored = stored
        self.reads = 0

    def read(self) -> str:
        self.reads += 1
        return self.stored

    read_again = read


class NoKey:
    """Secrets Manager is down."""

    def read(self) -> str:
        raise SecretUnavailable("get_secret_value of the secret stripe failed.")

    read_again = read


@pytest_asyncio.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    async with fake_stripe() as running:
        yield running


@pytest.fixture
def key() -> Key:
    return Key()


@pytest_asyncio.fixture
async def gateway(stripe: FakeStripe, key: Key, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StripeGateway]:
    monkeypatch.setattr(adapter, "LOOK_UP_SECONDS_MAX", TIMEOUT_SECONDS)
    made = StripeGateway(stripe.url, key, TIMEOUT_SECONDS)
    yield made
    await made.close()


def first(kind: Kind = Kind.CHARGE, **changes: Any) -> GatewayRequest:
    """A new charge or authorization of 100.50 EUR."""
    id_ = uuid7()
    made = GatewayRequest(
        operation_id=id_,
        kind=kind,
        payment_id=id_,
        amount_minor=10050,
        currency="EUR",
        currency_places=2,
        payment_method=account.SUCCESS,
        idempotency_key=gateway_key(id_, kind),
    )
    return replace(made, **changes)


def later(kind: Kind, target: str, of: GatewayRequest, **changes: Any) -> GatewayRequest:
    """A capture, void or refund of it all."""
    id_ = uuid7()
    made = replace(
        of,
        operation_id=id_,
        kind=kind,
        idempotency_key=gateway_key(id_, kind),
        target_gateway_id=target,
        gateway_id=None,
    )
    return replace(made, **changes)


async def authorized(gateway: StripeGateway) -> tuple[GatewayRequest, str]:
    """An authorization that was given, and its id at Stripe."""
    request = first(Kind.AUTHORIZATION)
    answer = await gateway.send(request)
    assert isinstance(answer, Succeeded)
    return request, answer.gateway_id


def form_of(stripe: FakeStripe, number: int = -1) -> dict[str, str]:
    """The form of the last request, or another one."""
    return {name: value for name, [value] in parse_qs(stripe.requests[number].body.decode()).items()}


class TestRequests:
    async def test_a_charge(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        request = first()
        await gateway.send(request)
        [sent] = stripe.requests
        assert (sent.method, sent.path) == ("POST", "/v1/payment_intents")
        assert sent.headers["authorization"] == f"Bearer {API_KEY}"
        assert sent.headers["stripe-version"] == API_VERSION
        assert sent.headers["idempotency-key"] == f"{request.operation_id}:charge"
        assert form_of(stripe) == {
            "amount": "10050",
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": "true",
            "capture_method": "automatic",
            "error_on_requires_action": "true",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            "metadata[operation_id]": str(request.operation_id),
            "metadata[payment_id]": str(request.payment_id),
        }

    async def test_an_authorization_with_the_charge_that_says_when_it_expires(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        await gateway.send(first(Kind.AUTHORIZATION))
        assert form_of(stripe)["capture_method"] == "manual"
        assert form_of(stripe)["expand[]"] == "latest_charge"

    async def test_capture_void_and_refund(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        authorization, intent_id = await authorized(gateway)
        capture = later(Kind.CAPTURE, intent_id, authorization, amount_minor=4000)
        await gateway.send(capture)
        assert stripe.requests[-1].path == f"/v1/payment_intents/{intent_id}/capture"
        assert form_of(stripe) == {
            "amount_to_capture": "4000",
            "metadata[capture_operation_id]": str(capture.operation_id),
        }
        refund = later(Kind.REFUND, intent_id, authorization, amount_minor=3000)
        await gateway.send(refund)
        assert stripe.requests[-1].path == "/v1/refunds"
        assert form_of(stripe) == {
            "payment_intent": intent_id,
            "amount": "3000",
            "metadata[operation_id]": str(refund.operation_id),
            "metadata[payment_id]": str(refund.payment_id),
        }
        await gateway.send(later(Kind.VOID, intent_id, authorization))
        assert (stripe.requests[-1].path, stripe.requests[-1].body) == (f"/v1/payment_intents/{intent_id}/cancel", b"")

    async def test_an_id_cannot_leave_its_place_in_the_path(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        await gateway.send(later(Kind.VOID, "pi_1/capture?x=", first()))
        assert stripe.requests[-1].path == "/v1/payment_intents/pi_1%2Fcapture%3Fx%3D/cancel"


class TestNotAskedFor:
    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION])
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"payment_method": None}, "invalid_payment_method"),
            ({"payment_method": ""}, "invalid_payment_method"),
            ({"amount_minor": 5124, "currency": "KWD", "currency_places": 3}, "amount_not_supported"),
            ({"currency": "CLF", "currency_places": 4}, "currency_not_supported"),
        ],
    )
    async def test_what_stripe_cannot_do_is_declined_without_a_call(
        self, gateway: StripeGateway, stripe: FakeStripe, kind: Kind, changes: dict[str, Any], code: str
    ) -> None:
        answer = await gateway.send(first(kind, **changes))
        assert isinstance(answer, Declined)
        assert answer.failure_code == code
        assert stripe.requests == []

    async def test_so_is_a_refund_of_an_amount_that_stripe_cannot_express(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        charge = first(amount_minor=5120, currency="KWD", currency_places=3)
        charged = await gateway.send(charge)
        assert isinstance(charged, Succeeded)
        answer = await gateway.send(later(Kind.REFUND, charged.gateway_id, charge, amount_minor=1))
        assert isinstance(answer, Declined)
        assert answer.failure_code == "amount_not_supported"
        assert [movement.kind for movement in stripe.account.movements] == ["charge"]

    @pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID, Kind.REFUND])
    async def test_a_request_without_a_target_is_a_defect_of_ours(self, gateway: StripeGateway, kind: Kind) -> None:
        request = replace(first(), kind=kind)
        with pytest.raises(ValueError, match="needs the PaymentIntent"):
            await gateway.send(request)
        assert isinstance(await gateway.find(request), Unknown)


class TestDeclines:
    @pytest.mark.parametrize(
        ("method", "code"),
        [
            ("pm_card_chargeDeclined", "card_declined"),
            ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("pm_card_chargeDeclinedLostCard", "lost_card"),
            ("pm_card_chargeDeclinedFraudulent", "fraud_blocked"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
            ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
            ("pm_card_chargeDeclinedProcessingError", "card_declined"),
            ("pm_card_unknown", "invalid_payment_method"),
            # The API could not lead the customer to their bank.
            (account.AUTHENTICATION, "authentication_required"),
        ],
    )
    async def test_each_is_told_in_our_codes(
        self, gateway: StripeGateway, stripe: FakeStripe, method: str, code: str
    ) -> None:
        answer = await gateway.send(first(payment_method=method))
        assert isinstance(answer, Declined)
        assert answer.failure_code == code
        assert stripe.account.movements == []


class TestKeysAndRates:
    async def test_a_conflict_and_a_lock_are_requests_under_way(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        stripe.faults += [Fault.CONFLICT, Fault.LOCKED]
        assert [type(await gateway.send(first())) for _ in range(2)] == [UnderWay, UnderWay]

    async def test_a_key_that_was_used_with_other_parameters_is_under_way(self, gateway: StripeGateway) -> None:
        request = first()
        await gateway.send(request)
        assert isinstance(await gateway.send(replace(request, amount_minor=1)), UnderWay)

    async def test_an_internal_error_of_a_charge_is_repeated_and_never_asked_again(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        stripe.faults.append(Fault.ERROR_BEFORE)
        request = first()
        for _ in range(3):
            answer = await gateway.send(request)
            assert isinstance(answer, Unknown)
            assert answer.fault is gateway_answers.Fault.SERVER_ERROR
        assert stripe.account.movements == []
        assert {sent.headers["idempotency-key"] for sent in stripe.requests} == {request.idempotency_key}

    @pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID])
    async def test_a_capture_or_void_goes_on_after_an_internal_error(
        self, gateway: StripeGateway, stripe: FakeStripe, kind: Kind
    ) -> None:
        authorization, intent_id = await authorized(gateway)
        request = later(kind, intent_id, authorization)
        stripe.faults.append(Fault.ERROR_BEFORE)
        assert isinstance(await gateway.send(request), Unknown)
        assert await gateway.find(request) == NotFound()
        assert isinstance(await gateway.send(request), Succeeded)
        assert [movement.kind for movement in stripe.account.movements] == ["authorization", kind.value]

    async def test_and_is_not_done_twice_if_the_error_came_after_it(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        authorization, intent_id = await authorized(gateway)
        request = later(Kind.CAPTURE, intent_id, authorization)
        stripe.faults.append(Fault.ERROR_AFTER)
        assert isinstance(await gateway.send(request), Unknown)
        assert not isinstance(await gateway.send(request), Succeeded)
        assert isinstance(await gateway.find(request), Succeeded)
        assert [movement.kind for movement in stripe.account.movements] == ["authorization", "capture"]

    async def test_a_rate_limit_of_a_look_up(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        for request in (first(), first(gateway_id="pi_1"), later(Kind.REFUND, "pi_1", first())):
            stripe.read_faults.append(429)
            assert isinstance(await gateway.find(request), RateLimited)


class TestLookUps:
    async def test_by_the_id_that_stripe_gave(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        request = first()
        done = await gateway.send(request)
        assert isinstance(done, Succeeded)
        assert await gateway.find(replace(request, gateway_id=done.gateway_id)) == done
        assert [sent.path for sent in stripe.requests[1:]] == [f"/v1/payment_intents/{done.gateway_id}"]

    async def test_by_the_list_since_the_operation_began(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        request = first()
        done = await gateway.send(request)
        assert isinstance(done, Succeeded)
        assert await gateway.find(request) == done
        listed, got = stripe.requests[1:]
        since = int(listed.parameter("created[gte]") or 0)
        assert listed.path == "/v1/payment_intents"
        assert time.time() - 310 < since < time.time() - 290
        assert got.path == f"/v1/payment_intents/{done.gateway_id}"

    async def test_an_id_that_is_no_uuid7_is_looked_for_in_all(self, gateway: StripeGateway) -> None:
        request = first(operation_id=uuid.uuid4())
        done = await gateway.send(request)
        assert await gateway.find(request) == done

    async def test_on_a_later_page(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        request = first()
        done = await gateway.send(request)
        add_intents(stripe, 250)
        assert await gateway.find(request) == done
        assert len([sent for sent in stripe.requests if sent.path == "/v1/payment_intents"]) == 1 + 3

    async def test_a_payment_intent_that_was_never_confirmed_is_passed_over(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        """As after a request that was made again once its key was forgotten."""
        request = first()
        done = await gateway.send(request)
        [intent] = stripe.account.intents.values()
        stripe.account.create_intent({"amount": 1, "currency": "eur", "metadata": intent["metadata"]})
        assert await gateway.find(request) == done

    async def test_two_charges_for_one_operation(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        request = first(payment_method="pm_card_chargeDeclined")
        await gateway.send(request)
        stripe.forget_keys()
        done = await gateway.send(replace(request, payment_method=account.SUCCESS))
        assert isinstance(done, Succeeded)
        assert await gateway.find(request) == done

    async def test_by_search_where_the_list_is_too_long(
        self, gateway: StripeGateway, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adapter, "PAGES_MAX", 2)
        request = first()
        done = await gateway.send(request)
        add_intents(stripe, 250)
        assert await gateway.find(request) == done
        assert stripe.requests[-2].path == "/v1/payment_intents/search"

    async def test_a_search_that_finds_nothing_proves_nothing_of_the_last_hour(
        self, gateway: StripeGateway, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adapter, "PAGES_MAX", 2)
        stripe.not_searchable = 300
        request = first()
        await gateway.send(request)
        add_intents(stripe, 250)
        answer = await gateway.find(request)
        assert isinstance(answer, Unknown)
        assert "too many" in answer.error

    async def test_a_list_that_reaches_back_to_what_is_searchable_proves_it(
        self, gateway: StripeGateway, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adapter, "PAGES_MAX", 2)
        add_intents(stripe, 250)
        for intent in stripe.account.intents.values():
            intent["created"] -= adapter.SEARCHABLE_AFTER_SECONDS
        # Begun two hours ago.
        old = uuid.UUID(int=((int(time.time()) - 7200) * 1000 << 80) | (7 << 76) | (2 << 62))
        assert await gateway.find(first(operation_id=old)) == NotFound()

    async def test_an_object_that_is_missing_is_no_proof(self, gateway: StripeGateway) -> None:
        """Another account, or the other mode, knows none of our ids. To charge there would be to charge again."""
        for request in (first(gateway_id="pi_1"), later(Kind.CAPTURE, "pi_1", first())):
            answer = await gateway.find(request)
            assert isinstance(answer, Unknown)
            assert answer.fault is gateway_answers.Fault.NOT_SERVED

    async def test_a_refund_among_more_than_a_page(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        charge = first()
        charged = await gateway.send(charge)
        assert isinstance(charged, Succeeded)
        request = later(Kind.REFUND, charged.gateway_id, charge, amount_minor=1)
        done = await gateway.send(request)
        for _ in range(150):
            stripe.account.create_refund({"payment_intent": charged.gateway_id, "amount": 1})
        assert await gateway.find(request) == done

    async def test_a_capture_in_the_dashboard_counts(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        authorization, intent_id = await authorized(gateway)
        stripe.account.capture(intent_id, {})
        assert await gateway.find(later(Kind.CAPTURE, intent_id, authorization)) == Succeeded(intent_id)
        part = later(Kind.CAPTURE, intent_id, authorization, amount_minor=4000)
        assert isinstance(await gateway.find(part), Contradictory)


def add_intents(stripe: FakeStripe, count: int) -> None:
    """Let others pay."""
    for _ in range(count):
        stripe.account.create_intent({"amount": 1, "currency": "eur", "metadata": {"operation_id": str(uuid7())}})


class TestSecretKey:
    async def test_it_is_read_once_for_many_calls(self, gateway: StripeGateway, key: Key) -> None:
        await asyncio.gather(*(gateway.send(first()) for _ in range(20)))
        assert key.reads == 1

    async def test_one_that_was_rolled_is_read_again_once(
        self, gateway: StripeGateway, stripe: FakeStripe, key: Key
    ) -> None:
        await gateway.send(first())
        stripe.api_keys = {"sk_test_new"}
        key.stored = "sk_test_new"
        answers = await asyncio.gather(*(gateway.send(first()) for _ in range(20)))
        assert {type(answer) for answer in answers} == {Succeeded}
        assert key.reads == 2
        assert len(stripe.account.movements) == 21

    async def test_a_wrong_one_is_a_gateway_that_does_not_serve(
        self, gateway: StripeGateway, stripe: FakeStripe
    ) -> None:
        stripe.api_keys = set()
        for answer in (await gateway.send(first()), await gateway.find(first())):
            assert isinstance(answer, Unknown)
            assert answer.fault is gateway_answers.Fault.NOT_SERVED

    async def test_no_answer_says_it(self, gateway: StripeGateway, stripe: FakeStripe) -> None:
        stripe.api_keys = set()
        assert API_KEY not in repr(await gateway.send(first()))

    async def test_without_it_stripe_is_not_asked(self, stripe: FakeStripe) -> None:
        gateway = StripeGateway(stripe.url, NoKey(), TIMEOUT_SECONDS)
        answer = await gateway.send(first())
        assert isinstance(answer, Unknown)
        assert answer.fault is gateway_answers.Fault.NOT_SERVED
        assert stripe.requests == []


async def charge_by(
    respond: Respond | bytes, timeout_seconds: float = TIMEOUT_SECONDS, **changes: Any
) -> GatewayAnswer:
    """The answer to a charge by a server that is no Stripe."""
    async with raw_server(respond) as server:
        gateway = StripeGateway(f"http://127.0.0.1:{server.port}", Key(), timeout_seconds)
        try:
            return await gateway.send(first(**changes))
        finally:
            await gateway.close()


TOO_LARGE = b" " * (ANSWER_BYTES_MAX + 1)


class TestHostileServers:
    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"garbage\r\n\r\n",
            JSON % (2, b"{}"),
            JSON % (2, b"[]"),
            JSON % (4, b"null"),
            JSON % (9, b"not JSON!"),
            JSON % (99, b"{}"),
            b"HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\r\n{}",
            b'HTTP/1.1 402 Payment Required\r\nContent-Length: 11\r\n\r\n{"error":1}',
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n\x1f\x8b\x08\x00charge",
            JSON % (len(TOO_LARGE), TOO_LARGE),
        ],
    )
    async def test_an_invalid_answer_is_unknown(self, answer: bytes) -> None:
        assert isinstance(await charge_by(answer), Unknown)

    async def test_a_redirect_is_not_followed(self, stripe: FakeStripe) -> None:
        location = f"{stripe.url}/v1/payment_intents".encode()
        moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        answer = await charge_by(moved)
        assert isinstance(answer, Unknown)
        assert answer.fault is gateway_answers.Fault.NOT_SERVED
        assert stripe.requests == []

    async def test_an_endless_answer_ends_by_its_size(self) -> None:
        async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b" " * 65_536)
                await writer.drain()

        too_large = "an answer that cannot be read: StripeAnswerTooLarge"
        assert await charge_by(flood) == Unknown(gateway_answers.Fault.UNREADABLE, too_large)

    async def test_a_dripping_answer_ends_at_the_deadline(self) -> None:
        async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

        started = time.monotonic()
        async with asyncio.timeout(HANGS_AFTER_SECONDS):
            answer = await charge_by(drip, timeout_seconds=0.5)
        assert answer == Unknown(gateway_answers.Fault.NO_ANSWER, "no answer before the deadline")
        assert time.monotonic() - started > 0.4

    async def test_a_look_up_has_a_deadline_for_all_its_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(adapter, "LOOK_UP_SECONDS_MAX", 0.5)

        async def slow_page(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.2)
            intent = {"id": "pi_1", "object": "payment_intent", "created": 1, "metadata": {}}
            body = orjson.dumps({"object": "list", "data": [intent], "has_more": True})
            writer.write(JSON % (len(body), body))
            await writer.drain()

        async with raw_server(slow_page) as server:
            gateway = StripeGateway(f"http://127.0.0.1:{server.port}", Key(), TIMEOUT_SECONDS)
            answer = await gateway.find(first())
            await gateway.close()
        # If each page had a deadline of its own, it would read to the last page.
        assert answer == Unknown(gateway_answers.Fault.NO_ANSWER, "no answer before the deadline")

    async def test_nothing_listens(self) -> None:
        gateway = StripeGateway("http://127.0.0.1:1", Key(), TIMEOUT_SECONDS)
        answer = await gateway.send(first())
        assert isinstance(answer, Unknown)
        assert answer.fault is gateway_answers.Fault.UNREACHABLE

    async def test_proxies_of_the_environment_stay_out(
        self, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert isinstance(await gateway.send(first()), Succeeded)


DECLINED = orjson.dumps({"error": {"type": "card_error", "code": "card_declined"}})
DECLINES = b"HTTP/1.1 402 Payment Required\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n%s" % (
    len(DECLINED),
    DECLINED,
)


class TestConnections:
    async def test_a_connection_is_reused(self) -> None:
        async with raw_server(DECLINES, keep_alive=True) as server:
            gateway = StripeGateway(f"http://127.0.0.1:{server.port}", Key(), TIMEOUT_SECONDS)
            for _ in range(5):
                assert isinstance(await gateway.send(first()), Declined)
            await gateway.close()
            assert server.connections == 1

    async def test_a_cut_off_request_is_not_repeated(self) -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with raw_server(hang_up) as server:
            gateway = StripeGateway(f"http://127.0.0.1:{server.port}", Key(), TIMEOUT_SECONDS)
            assert isinstance(await gateway.send(first()), Unknown)
            await gateway.close()
            assert len(server.heads) == 1

    async def test_a_request_has_no_unintended_header(self) -> None:
        async with raw_server(DECLINES, keep_alive=True) as server:
            gateway = StripeGateway(f"http://127.0.0.1:{server.port}", Key(), TIMEOUT_SECONDS)
            for _ in range(2):
                await gateway.send(first())
            await gateway.close()
            names = {line.partition(b":")[0].lower() for line in server.heads[1].split(b"\r\n")[1:] if line}
        assert names == {
            b"host",
            b"user-agent",
            b"accept",
            b"accept-encoding",
            b"stripe-version",
            b"idempotency-key",
            b"content-type",
            b"content-length",
            b"authorization",
        }


class TestTls:
    async def test_reading_the_authorities_takes_no_time_from_a_call(
        self, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_context, time = ssl.create_default_context, LoopTime()

        def create_slowly() -> ssl.SSLContext:
            time.move(2 * TIMEOUT_SECONDS)
            return create_context()

        monkeypatch.setattr(ssl, "create_default_context", create_slowly)
        assert isinstance(await gateway.send(first()), Succeeded)
        assert time.passed_seconds == 2 * TIMEOUT_SECONDS

    async def test_only_a_trusted_certificate_for_the_host_name_is_accepted(self, tmp_path: Path) -> None:
        path = tmp_path / "server.pem"
        path.write_bytes(self_signed("localhost"))
        async with raw_server(DECLINES, tls=server_context(path)) as server:
            answers = []
            for host, is_trusted in (("localhost", True), ("localhost", False), ("127.0.0.1", True)):
                trusting = ssl.create_default_context(cafile=str(path)) if is_trusted else None
                gateway = StripeGateway(f"https://{host}:{server.port}", Key(), TIMEOUT_SECONDS, trusting)
                answers.append(type(await gateway.send(first())))
                await gateway.close()
            assert answers == [Declined, Unknown, Unknown]
            assert len(server.heads) == 1
