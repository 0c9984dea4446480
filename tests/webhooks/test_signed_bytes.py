"""What receivers verify: the bytes that arrive, with the keys of the merchant that they belong to."""

from __future__ import annotations

import base64

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from local.testkit.raw_servers import RawServer, raw_server
from local.testkit.webhooks import SLOW, DeliveryWorld
from paybridge.core.events import Event

pytestmark = pytest.mark.integration

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


def secret(number: int) -> str:
    return "whsec_" + base64.b64encode(bytes([number]) * 32).decode()


def requests_of(server: RawServer) -> list[tuple[dict[str, str], bytes]]:
    """Return headers and body of each request, both as they arrived."""
    heads = [
        dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if line) for head in server.heads
    ]
    return list(zip(heads, server.bodies, strict=True))


def verifies(key: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(key).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


class TestSignedBytes:
    @pytest.mark.parametrize(
        "extra",
        [
            {"z": 1, "a": {"y": 1, "b": 2}},
            {"описание": "Платёж № 7", "emoji": "💳", "e": "é"},
            {"escapes": '\u2028\u2029 </script> \\ " \t \x7f'},
            {"number": 1e22, "zero": -0.0, "large": 2**60, "none": None, "empty": {}, "list": [1, [], {}]},
        ],
    )
    async def test_a_receiver_verifies_the_bytes_that_arrive(
        self, world: DeliveryWorld, extra: dict[str, object]
    ) -> None:
        async with raw_server(OK) as server:
            event = world.event(world.merchant(secret(1)), f"http://127.0.0.1:{server.port}/")
            changed = world.fact(event.payment_id, event.merchant_id, data={**extra, **event.data})
            (report,) = await world.deliver(changed)
        assert report.outcome == "delivered"
        ((headers, body),) = requests_of(server)
        assert verifies(secret(1), headers, body)
        # The order of the event, and text as itself.
        assert [key for key in extra if f'"{key}":'.encode() in body] == list(extra)
        assert body.index(f'"{next(iter(extra))}"'.encode()) < body.index(b'"payment_id"')

    async def test_a_further_attempt_sends_the_same_bytes_and_a_signature_of_them(self, world: DeliveryWorld) -> None:
        async with raw_server(BUSY) as server:
            event = world.event(world.merchant(secret(1)), f"http://127.0.0.1:{server.port}/é".replace("é", "%C3%A9"))
            changed = world.fact(event.payment_id, event.merchant_id, data={"ключ": "значение", **event.data})
            await world.deliver(changed)
            await world.deliver(world.command(event), lane=SLOW)
        (first, first_body), (second, second_body) = requests_of(server)
        assert first_body == second_body
        assert first["webhook-id"] == second["webhook-id"] == str(changed.id)
        assert verifies(secret(1), first, first_body)
        assert verifies(secret(1), second, second_body)


class TestKeys:
    async def test_each_merchant_s_own_keys_sign_within_one_batch(self, world: DeliveryWorld) -> None:
        merchants = {number: world.merchant(secret(number)) for number in (1, 2, 3)}
        events: dict[int, list[Event]] = {number: [] for number in merchants}
        async with raw_server(OK) as server:
            for _ in range(4):
                for number, merchant_id in merchants.items():
                    url = f"http://127.0.0.1:{server.port}/{number}"
                    events[number].append(world.event(merchant_id, url))
            batch = [event for four in zip(*events.values(), strict=True) for event in four]
            await world.deliver(*batch)
        assert len(server.heads) == 12
        for (headers, body), head in zip(requests_of(server), server.heads, strict=True):
            number = int(head.split(b" ")[1][1:])
            assert [key for key in merchants if verifies(secret(key), headers, body)] == [number]

    async def test_a_key_that_was_rotated_away_signs_no_further_attempt(self, world: DeliveryWorld) -> None:
        async with raw_server(BUSY) as server:
            merchant_id = world.merchant(secret(1))
            event = world.event(merchant_id, f"http://127.0.0.1:{server.port}/")
            await world.deliver(event)
            world.set_secrets(merchant_id, secret(2))
            await world.deliver(world.command(event), lane=SLOW)
        (first, body), (second, _) = requests_of(server)
        assert [verifies(secret(1), first, body), verifies(secret(2), first, body)] == [True, False]
        assert [verifies(secret(1), second, body), verifies(secret(2), second, body)] == [False, True]
