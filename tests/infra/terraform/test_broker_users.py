"""The users of the Terraform root `topology`: each can do its work on a real broker, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aio_pika
import pytest

from local.stack import topology as local_topology
from local.testkit.live import eventually_async
from local.testkit.queues import put, take_all
from local.testkit.servers import Broker, Vhost
from paybridge.outbox.ports import Message
from paybridge.rabbitmq.batch import Poison, dead_letter
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.rabbitmq.subscription import subscribe
from tests.support.broker_users import User
from tests.support.terraform_topology import terraform_for, users_of

pytestmark = [pytest.mark.integration, pytest.mark.terraform, pytest.mark.broker, pytest.mark.timeout(300)]

DECLARED = local_topology.read()
QUEUES = [one["name"] for one in DECLARED["queues"]]
SHARDS = 2
# Any status except 401 would mean that the user is accepted.
NOT_AUTHORISED = 401


@pytest.fixture(scope="module")
def users(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, User]:
    """All three users, in a virtual host with shards and with a foreign queue and exchange."""
    vhost = broker.fresh_vhost(declared=False)
    terraform = terraform_for(vhost, tmp_path_factory.mktemp("terraform"))
    terraform.edit_topology(lambda topology: topology["shards"][0].update(count=SHARDS))
    terraform.apply()
    asyncio.run(declare_foreign(vhost))
    return users_of(vhost)


async def declare_foreign(vhost: Vhost) -> None:
    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("foreign", durable=True)
        await channel.declare_exchange("foreign", durable=True)


def message(exchange: str, key: str, number: int = 0) -> Message:
    return Message(f"m-{number}", "t", exchange, key, b"{}", "c", headers={"payment-id": f"p-{number}"})


class TestFunctions:
    async def test_the_relay_publishes_to_both_exchanges_and_learns_of_unroutable_messages(
        self, users: dict[str, User]
    ) -> None:
        async with open_publisher(users["functions"].amqp_url) as publisher:
            refusals = await publisher.publish(
                [
                    message("payments", "webhooks.retry"),
                    message("payments.events", "payment.succeeded"),
                    message("payments", "nowhere"),
                ],
                10,
            )
        assert refusals[:2] == [None, None]
        assert "unroutable" in str(refusals[2])
        taken = [
            len(await take_all(users["functions"].vhost.amqp_url, name)) for name in ("webhooks.retry", "webhooks")
        ]
        assert taken == [1, 1]

    async def test_new_payments_go_by_the_exchange_of_the_shards_and_are_taken_from_them(
        self, users: dict[str, User]
    ) -> None:
        functions, shards = users["functions"], [f"payments.new.{number}" for number in range(SHARDS)]
        async with open_publisher(functions.amqp_url) as publisher:
            sent = [message("payments", "payments.new", number) for number in range(20)]
            assert await publisher.publish(sent, 10) == [None] * 20
        taken: list[str] = []
        async with subscribe(functions.amqp_url, shards, 100) as subscription:
            async with asyncio.timeout(20):
                while len(taken) < 20:
                    batch = await subscription.batch(100)
                    taken += [one.message_id for one in batch]
                    await subscription.acknowledge(batch[-1])
        assert sorted(taken) == sorted(one.id for one in sent)

    @pytest.mark.parametrize("queue", QUEUES)
    async def test_it_takes_from_every_queue(self, users: dict[str, User], queue: str) -> None:
        functions = users["functions"]
        await put(functions.vhost.amqp_url, queue, b"work", message_id=f"for-{queue}")
        async with subscribe(functions.amqp_url, [queue], 10) as subscription, asyncio.timeout(20):
            (taken,) = await subscription.batch(10)
            await subscription.acknowledge(taken)
        assert taken.message_id == f"for-{queue}"

    async def test_poison_is_buried(self, users: dict[str, User]) -> None:
        functions = users["functions"]
        await dead_letter(functions.amqp_url, [Poison("payments.new", "one", b"poison", "unreadable")])
        (dead,) = await take_all(functions.vhost.amqp_url, "payments.dead")
        assert (dead.message_id, dead.body) == ("one", b"poison")

    @pytest.mark.parametrize("queue", [*QUEUES, "payments.new.0", "payments.new.1"])
    async def test_it_learns_how_much_waits_in_every_queue(self, users: dict[str, User], queue: str) -> None:
        assert await users["functions"].refusal("queue_declare", queue=queue, passive=True) == ""

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("queue_declare", {"queue": "mine"}),
            ("queue_declare", {"queue": "", "exclusive": True}),
            ("queue_delete", {"queue": "payments.new"}),
            ("queue_delete", {"queue": "payments.dead"}),
            ("queue_purge", {"queue": "payments.dead"}),
            ("queue_bind", {"queue": "payments.dead", "exchange": "payments.events", "routing_key": "#"}),
            ("queue_unbind", {"queue": "webhooks", "exchange": "payments.events", "routing_key": "payment.failed"}),
            ("exchange_declare", {"exchange": "mine"}),
            ("exchange_delete", {"exchange": "payments"}),
            ("basic_get", {"queue": "foreign"}),
            ("basic_publish", {"body": b"x", "exchange": "foreign", "routing_key": ""}),
            ("basic_publish", {"body": b"x", "exchange": "", "routing_key": "payments.new"}),
            ("basic_publish", {"body": b"x", "exchange": "amq.topic", "routing_key": "x"}),
        ],
        ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
    )
    async def test_it_may_not_declare_delete_bind_or_use_foreign_objects(
        self, users: dict[str, User], method: str, arguments: dict[str, object]
    ) -> None:
        assert "ACCESS_REFUSED" in await users["functions"].refusal(method, **arguments)

    @pytest.mark.parametrize("path", [("overview",), ("users",), ("definitions",)])
    def test_it_is_not_let_into_the_management(self, users: dict[str, User], path: tuple[str, ...]) -> None:
        assert users["functions"].ask("GET", *path).status_code == NOT_AUTHORISED

    def test_it_is_not_let_into_another_virtual_host(self, users: dict[str, User], broker: Broker) -> None:
        functions, other = users["functions"], broker.fresh_vhost(declared=False)
        assert functions.can_connect_to(functions.vhost)
        assert not functions.can_connect_to(other)


class TestMonitoring:
    @pytest.mark.parametrize("kind", ["queues", "exchanges", "policies", "connections", "nodes", "overview"])
    def test_it_sees_all_objects(self, users: dict[str, User], kind: str) -> None:
        assert users["monitoring"].ask("GET", kind).status_code == 200

    async def test_it_sees_how_many_dead_letters_wait_and_none_of_them(self, users: dict[str, User]) -> None:
        monitoring = users["monitoring"]
        await put(monitoring.vhost.amqp_url, "payments.dead", b"secret")

        def depth() -> bool:
            return bool(monitoring.ask("GET", "queues", monitoring.vhost.name, "payments.dead").json().get("messages"))

        await eventually_async(depth, "the depth of payments.dead")
        assert monitoring.take("payments.dead").status_code == NOT_AUTHORISED
        assert len(await take_all(monitoring.vhost.amqp_url, "payments.dead")) == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda user: user.publish("payments", "payments.new"),
            lambda user: user.ask("DELETE", "queues", user.vhost.name, "payments.dead"),
            lambda user: user.ask("DELETE", "queues", user.vhost.name, "payments.dead", "contents"),
            lambda user: user.ask("PUT", "queues", user.vhost.name, "mine", body={"durable": True}),
            lambda user: user.ask("PUT", "policies", user.vhost.name, "mine", body={"pattern": ".", "definition": {}}),
            lambda user: user.ask("PUT", "users", user.name, body={"password": "x", "tags": "administrator"}),
        ],
        ids=["publish", "delete", "purge", "declare", "policy", "user"],
    )
    def test_it_changes_nothing(self, users: dict[str, User], change: Callable[[User], object]) -> None:
        answer = change(users["monitoring"])
        # For a refused publication RabbitMQ's management API answers 400, with the broker's reason.
        assert getattr(answer, "status_code", 0) in {400, NOT_AUTHORISED}
        assert "refused" in getattr(answer, "text", "").lower() or getattr(answer, "status_code", 0) == NOT_AUTHORISED


class TestOperator:
    async def test_it_takes_a_dead_letter_and_publishes_it_again(self, users: dict[str, User]) -> None:
        operator = users["operator"]
        await put(operator.vhost.amqp_url, "payments.dead", b"dead")
        assert [one["payload"] for one in operator.take("payments.dead").json()] == ["dead"]
        assert operator.publish("payments", "webhooks.retry").json() == {"routed": True}
        assert len(await take_all(operator.vhost.amqp_url, "webhooks.retry")) == 1

    @pytest.mark.parametrize(
        "queue", [*(name for name in QUEUES if name != "payments.dead"), "payments.new.0", "foreign"]
    )
    def test_it_takes_from_no_other_queue(self, users: dict[str, User], queue: str) -> None:
        assert users["operator"].take(queue).status_code == NOT_AUTHORISED

    @pytest.mark.parametrize("exchange", ["payments.dlx", "foreign", "amq.default"])
    def test_it_publishes_to_no_other_exchange(self, users: dict[str, User], exchange: str) -> None:
        answer = users["operator"].publish(exchange, "payments.dead")
        assert answer.status_code in {400, NOT_AUTHORISED}
        assert "routed" not in answer.text

    def test_it_deletes_no_queue_and_makes_no_user(self, users: dict[str, User]) -> None:
        operator = users["operator"]
        assert operator.ask("DELETE", "queues", operator.vhost.name, "payments.dead").status_code == NOT_AUTHORISED
        new = {"password": "x", "tags": "administrator"}
        assert operator.ask("PUT", "users", "mine", body=new).status_code == NOT_AUTHORISED
