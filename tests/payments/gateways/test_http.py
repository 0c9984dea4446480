"""How the adapter reads the answers of a gateway, clear and unclear ones."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.http import ANSWER_BYTES_MAX, HttpGateway
from paybridge.payments.ports import GatewayRequest

pytestmark = pytest.mark.integration

REQUEST = GatewayRequest(
    operation_id=uuid.UUID(int=7),
    kind=Kind.CHARGE,
    payment_id=uuid.UUID(int=7),
    amount_minor=10050,
    currency="RUB",
    currency_places=2,
    payment_method="tok_success",
    idempotency_key="7:charge",
)


def a_charge(**changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "reference": str(REQUEST.payment_id),
        "kind": "charge",
        "amount_minor": 10050,
        "currency": "RUB",
        "status": "succeeded",
        "failure_code": None,
        **changes,
    }


class Answers:
    """An HTTP server with the answers of the test."""

    def __init__(self) -> None:
        self.charge: Callable[[], web.StreamResponse] = lambda: web.json_response(a_charge(), status=201)
        self.found: Any = []
        self.found_status = 200
        # The path, query, key and body of each request.
        self.asked: list[tuple[str, dict[str, str], str | None, Any]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        self.asked.append((request.path, dict(request.query), key, orjson.loads(body) if body else None))
        if request.path == "/elsewhere":
            return web.json_response(a_charge())
        if request.method == "POST":
            return self.charge()
        return web.json_response(self.found, status=self.found_status)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest_asyncio.fixture
async def gateway(answers: Answers) -> AsyncIterator[HttpGateway]:
    runner = web.ServerRunner(web.Server(answers.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    gateway = HttpGateway(f"http://127.0.0.1:{port}", 5)
    yield gateway
    await gateway.close()
    await runner.cleanup()


def answering(body: Any, status: int = 201) -> Callable[[], web.StreamResponse]:
    return lambda: web.json_response(body, status=status)


class TestCharge:
    async def test_a_charge(self, gateway: HttpGateway) -> None:
        assert await gateway.send(REQUEST) == Succeeded("ch_1")

    async def test_a_decline(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.charge = answering(a_charge(status="declined", failure_code="insufficient_funds"), 402)
        declined = Declined("insufficient_funds", "Insufficient funds.", "insufficient_funds")
        assert await gateway.send(REQUEST) == declined

    @pytest.mark.parametrize("status", [400, 402, 422])
    async def test_a_refused_request(self, gateway: HttpGateway, answers: Answers, status: int) -> None:
        answers.charge = answering({"error": "no"}, status)
        assert await gateway.send(REQUEST) == RefusedRequest(f"the gateway answered {status}", "no")

    @pytest.mark.parametrize("status", [409, 423, 425])
    async def test_a_repeated_request_is_no_refusal(self, gateway: HttpGateway, answers: Answers, status: int) -> None:
        answers.charge = answering({"error": "no"}, status)
        assert isinstance(await gateway.send(REQUEST), UnderWay)

    @pytest.mark.parametrize(
        ("status", "fault"),
        [
            (302, Fault.NOT_SERVED),
            (401, Fault.NOT_SERVED),
            (403, Fault.NOT_SERVED),
            (404, Fault.NOT_SERVED),
            (405, Fault.NOT_SERVED),
            (410, Fault.NOT_SERVED),
            (408, Fault.NO_ANSWER),
            (500, Fault.SERVER_ERROR),
            (502, Fault.SERVER_ERROR),
            (503, Fault.SERVER_ERROR),
            (504, Fault.SERVER_ERROR),
        ],
    )
    async def test_a_refusal_without_news_of_the_charge_is_unknown(
        self, gateway: HttpGateway, answers: Answers, status: int, fault: Fault
    ) -> None:
        answers.charge = answering({"error": "no", "code": "insufficient_funds"}, status)
        assert await gateway.send(REQUEST) == Unknown(fault, f"the gateway answered {status}")

    @pytest.mark.parametrize(
        ("header", "seconds"), [({}, None), ({"Retry-After": "7"}, 7), ({"Retry-After": "x"}, None)]
    )
    async def test_a_limit_of_the_rate_is_a_kind_of_its_own(
        self, gateway: HttpGateway, answers: Answers, header: dict[str, str], seconds: float | None
    ) -> None:
        answers.charge = lambda: web.json_response({}, status=429, headers=header)
        assert await gateway.send(REQUEST) == RateLimited(seconds)

    @pytest.mark.parametrize(
        "body",
        [
            a_charge(status=None),
            a_charge(status=["succeeded"]),
            a_charge(reference="another-payment"),
            a_charge(reference="another-payment", status="declined"),
            {"status": "ok"},
            {},
            [],
            None,
            "charged",
        ],
    )
    async def test_an_answer_that_is_not_clearly_ours_is_unknown(
        self, gateway: HttpGateway, answers: Answers, body: Any
    ) -> None:
        answers.charge = answering(body)
        assert isinstance(await gateway.send(REQUEST), Unknown)

    @pytest.mark.parametrize(
        "body",
        [
            a_charge(amount_minor=10051),
            a_charge(amount_minor=0),
            a_charge(amount_minor=-1),
            a_charge(amount_minor="10050"),
            a_charge(amount_minor=10050.0),
            a_charge(amount_minor=True),
            a_charge(amount_minor=None),
            {name: value for name, value in a_charge().items() if name != "amount_minor"},
            a_charge(currency="EUR"),
            a_charge(currency=None),
            a_charge(id=None),
            a_charge(id=""),
            a_charge(id=17),
            a_charge(id="ch_\x00"),
            a_charge(id="x" * 256),
        ],
    )
    async def test_money_taken_otherwise_than_asked_is_never_a_success(
        self, gateway: HttpGateway, answers: Answers, body: Any
    ) -> None:
        answers.charge = answering(body)
        assert isinstance(await gateway.send(REQUEST), Contradictory)

    async def test_a_currency_in_lower_case_is_the_same(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.charge = answering(a_charge(currency="rub"))
        assert await gateway.send(REQUEST) == Succeeded("ch_1")

    @pytest.mark.parametrize("amount_minor", [1, 8040, 10049])
    async def test_less_than_was_asked_is_a_part(
        self, gateway: HttpGateway, answers: Answers, amount_minor: int
    ) -> None:
        answers.charge = answering(a_charge(amount_minor=amount_minor))
        assert await gateway.send(REQUEST) == PartlyApproved("ch_1", amount_minor)

    @pytest.mark.parametrize(
        ("body", "status"),
        [(a_charge(status="pending"), 201), (a_charge(status="processing"), 200), (a_charge(status="pending"), 202)],
    )
    async def test_a_charge_that_is_not_decided_yet(
        self, gateway: HttpGateway, answers: Answers, body: Any, status: int
    ) -> None:
        answers.charge = answering(body, status)
        assert await gateway.send(REQUEST) == Pending("ch_1")

    @pytest.mark.parametrize("body", [b"", b"accepted", b"{}"])
    async def test_accepted_is_pending_whatever_the_body(
        self, gateway: HttpGateway, answers: Answers, body: bytes
    ) -> None:
        answers.charge = lambda: web.Response(status=202, body=body)
        assert await gateway.send(REQUEST) == Pending()

    async def test_a_redirect_is_not_followed(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.charge = lambda: web.Response(status=302, headers={"Location": "/elsewhere"})
        assert isinstance(await gateway.send(REQUEST), Unknown)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b"x" * (ANSWER_BYTES_MAX + 1)])
    async def test_an_answer_without_json_is_unknown(self, gateway: HttpGateway, answers: Answers, body: bytes) -> None:
        answers.charge = lambda: web.Response(status=201, body=body)
        assert isinstance(await gateway.send(REQUEST), Unknown)

    async def test_an_unreachable_gateway_is_unknown(self) -> None:
        nowhere = HttpGateway("http://127.0.0.1:1", 1)
        assert isinstance(await nowhere.send(REQUEST), Unknown)
        await nowhere.close()


class TestRequests:
    """What the gateway is sent, for each kind of operation."""

    @pytest.mark.parametrize(("kind", "path"), [(Kind.CHARGE, "/charges"), (Kind.AUTHORIZATION, "/authorizations")])
    async def test_the_first_operation_names_the_payment_method(
        self, gateway: HttpGateway, answers: Answers, kind: Kind, path: str
    ) -> None:
        await gateway.send(replace(REQUEST, kind=kind, target_gateway_id="ch_0"))
        body = {
            "reference": str(REQUEST.payment_id),
            "operation_id": str(REQUEST.operation_id),
            "amount_minor": 10050,
            "currency": "RUB",
            "payment_method": "tok_success",
        }
        assert answers.asked == [(path, {}, "7:charge", body)]

    @pytest.mark.parametrize(
        ("kind", "path"), [(Kind.CAPTURE, "/captures"), (Kind.VOID, "/voids"), (Kind.REFUND, "/refunds")]
    )
    @pytest.mark.parametrize("target", [None, "au_1"])
    async def test_a_later_one_names_what_it_is_about(
        self, gateway: HttpGateway, answers: Answers, kind: Kind, path: str, target: str | None
    ) -> None:
        operation_id = uuid.UUID(int=8)
        request = replace(REQUEST, kind=kind, operation_id=operation_id, target_gateway_id=target)
        await gateway.send(request)
        body = {
            "reference": str(REQUEST.payment_id),
            "operation_id": str(operation_id),
            "amount_minor": 10050,
            "currency": "RUB",
        }
        assert answers.asked == [(path, {}, "7:charge", body | ({"target_id": target} if target else {}))]

    async def test_a_look_up_names_the_payment_and_the_operation(self, gateway: HttpGateway, answers: Answers) -> None:
        await gateway.find(replace(REQUEST, kind=Kind.REFUND, operation_id=uuid.UUID(int=8)))
        query = {"reference": str(REQUEST.payment_id), "operation_id": str(uuid.UUID(int=8))}
        assert answers.asked == [("/charges", query, None, None)]

    async def test_a_payment_with_very_many_refunds_is_still_looked_up(
        self, gateway: HttpGateway, answers: Answers
    ) -> None:
        refund = replace(REQUEST, kind=Kind.REFUND, operation_id=uuid.UUID(int=8))
        answers.found = [a_charge(kind="refund", operation_id=str(uuid.UUID(int=n)), id=f"re_{n}") for n in range(200)]
        assert await gateway.find(refund) == Succeeded("re_8")


class TestFindCharge:
    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            ([], NotFound),
            ([a_charge(kind="refund")], NotFound),
            ([a_charge()], Succeeded),
            ([a_charge(amount_minor=1)], PartlyApproved),
            ([a_charge(amount_minor=10051)], Contradictory),
            ([a_charge(status="declined")], Declined),
            ([a_charge(status="declined"), a_charge()], Succeeded),
            ([a_charge(status="pending")], Pending),
            ([a_charge(status="declined"), a_charge(status="pending")], Pending),
            ([a_charge(status="declined"), a_charge(status="odd")], Unknown),
            ([{}], Unknown),
            ({"error": "no list"}, Unknown),
            ("charges", Unknown),
            (None, Unknown),
        ],
    )
    async def test_only_a_clear_record_counts(
        self, gateway: HttpGateway, answers: Answers, found: Any, expected: type
    ) -> None:
        answers.found = found
        assert isinstance(await gateway.find(REQUEST), expected)

    async def test_a_reference_it_does_not_know_is_no_fault(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.found, answers.found_status = {"error": "no such charge"}, 404
        assert await gateway.find(REQUEST) == NotFound()

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 405, 410, 422, 500, 503])
    async def test_a_failed_look_up_is_not_the_same_as_nothing_found(
        self, gateway: HttpGateway, answers: Answers, status: int
    ) -> None:
        answers.found_status = status
        assert isinstance(await gateway.find(REQUEST), Unknown)

    async def test_a_limit_of_the_rate_holds_for_look_ups_too(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.found_status = 429
        assert await gateway.find(REQUEST) == RateLimited(None)
