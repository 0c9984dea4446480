"""How the adapter reads the answers of a gateway, clear and unclear ones."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from paybridge.payments.gateways.http import ANSWER_BYTES_MAX, HttpGateway
from paybridge.payments.ports import Charged, ChargeRequest, Declined, Rejected, Unknown

pytestmark = pytest.mark.integration

REQUEST = ChargeRequest(uuid.UUID(int=7), 10050, "RUB", "tok_success", "7:charge")


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

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
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
        assert await gateway.charge(REQUEST) == Charged("ch_1")

    async def test_a_decline(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.charge = answering(a_charge(status="declined", failure_code="insufficient_funds"), 402)
        assert await gateway.charge(REQUEST) == Declined("insufficient_funds", "Insufficient funds.")

    @pytest.mark.parametrize("status", [400, 422])
    async def test_a_refused_request(self, gateway: HttpGateway, answers: Answers, status: int) -> None:
        answers.charge = answering({"error": "no"}, status)
        assert isinstance(await gateway.charge(REQUEST), Rejected)

    @pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 429, 500, 502, 503, 504])
    async def test_a_refusal_without_news_of_the_charge_is_unknown(
        self, gateway: HttpGateway, answers: Answers, status: int
    ) -> None:
        answers.charge = answering({"error": "no"}, status)
        assert isinstance(await gateway.charge(REQUEST), Unknown)

    @pytest.mark.parametrize(
        "body",
        [
            a_charge(status="pending"),
            a_charge(status=None),
            a_charge(id=None),
            a_charge(id=""),
            a_charge(id=17),
            a_charge(id="ch_\x00"),
            a_charge(id="x" * 256),
            a_charge(reference="another-payment"),
            a_charge(amount_minor=10051),
            a_charge(amount_minor="10050"),
            a_charge(currency="EUR"),
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
        assert isinstance(await gateway.charge(REQUEST), Unknown)

    @pytest.mark.parametrize("failure_code", ["a\x00b", "Überzogen", "x" * 65, None, ""])
    async def test_an_odd_failure_code_becomes_a_plain_decline(
        self, gateway: HttpGateway, answers: Answers, failure_code: str | None
    ) -> None:
        answers.charge = answering(a_charge(status="declined", failure_code=failure_code), 402)
        assert await gateway.charge(REQUEST) == Declined("card_declined", "Card declined.")

    async def test_a_redirect_is_not_followed(self, gateway: HttpGateway, answers: Answers) -> None:
        answers.charge = lambda: web.Response(status=302, headers={"Location": "/elsewhere"})
        assert isinstance(await gateway.charge(REQUEST), Unknown)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b"x" * (ANSWER_BYTES_MAX + 1)])
    async def test_an_answer_without_json_is_unknown(self, gateway: HttpGateway, answers: Answers, body: bytes) -> None:
        answers.charge = lambda: web.Response(status=201, body=body)
        assert isinstance(await gateway.charge(REQUEST), Unknown)

    async def test_an_unreachable_gateway_is_unknown(self) -> None:
        nowhere = HttpGateway("http://127.0.0.1:1", 1)
        assert isinstance(await nowhere.charge(REQUEST), Unknown)
        await nowhere.close()


class TestFindCharge:
    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            ([], type(None)),
            ([a_charge(kind="refund")], type(None)),
            ([a_charge()], Charged),
            ([a_charge(status="declined")], Declined),
            ([a_charge(status="declined"), a_charge()], Charged),
            ([a_charge(status="pending")], Unknown),
            ([a_charge(status="declined"), a_charge(status="pending")], Unknown),
            ([{}], Unknown),
            ({"error": "no list"}, Unknown),
        ],
    )
    async def test_only_a_clear_record_counts(
        self, gateway: HttpGateway, answers: Answers, found: Any, expected: type
    ) -> None:
        answers.found = found
        assert isinstance(await gateway.find_charge(REQUEST), expected)

    async def test_a_failed_look_up_is_not_the_same_as_nothing_found(
        self, gateway: HttpGateway, answers: Answers
    ) -> None:
        answers.found_status = 500
        assert isinstance(await gateway.find_charge(REQUEST), Unknown)
