"""The broker topology, declared on a real RabbitMQ."""

from __future__ import annotations

import json
import re
import time

import httpx
import pytest

from local.errors import LocalError
from local.servers.broker_users import PASSWORD, rights
from local.stack import topology
from local.testkit.servers import Broker, Vhost
from tests.support.broker_users import User
from tests.support.terraform_topology import permissions

pytestmark = [pytest.mark.integration, pytest.mark.broker]

DECLARED = json.loads(topology.TOPOLOGY_FILE.read_text())


def listed(vhost: Vhost, kind: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{vhost.management_url}/api/{kind}/{vhost.name}", trust_env=False, timeout=30)
    result: list[dict[str, object]] = answer.raise_for_status().json()
    return result


class TestDeclare:
    def test_brings_every_queue_of_the_file_as_a_durable_quorum_queue(self, vhost: Vhost) -> None:
        queues = {queue["name"]: queue for queue in listed(vhost, "queues")}
        assert set(queues) == {queue["name"] for queue in DECLARED["queues"]}
        assert {queue["type"] for queue in queues.values()} == {"quorum"}
        assert all(queue["durable"] for queue in queues.values())

    def test_keeps_limits_and_dead_lettering_out_of_the_queue_arguments(self, vhost: Vhost) -> None:
        assert all(queue["arguments"] == {"x-queue-type": "quorum"} for queue in listed(vhost, "queues"))

    def test_puts_every_queue_under_a_policy(self, vhost: Vhost) -> None:
        queues = {queue["name"] for queue in DECLARED["queues"]}
        # Management shows a queue's policy some moments after the queue itself.
        deadline = time.monotonic() + 15
        while (limited := self.queues_under_policy(vhost)) != queues and time.monotonic() < deadline:
            time.sleep(0.2)
        assert limited == queues

    @staticmethod
    def queues_under_policy(vhost: Vhost) -> set[object]:
        policies = {policy["name"] for policy in DECLARED["policies"]}
        return {queue["name"] for queue in listed(vhost, "queues") if queue.get("policy") in policies}

    def test_binds_what_the_file_binds(self, vhost: Vhost) -> None:
        bindings = {(b["source"], b["destination"], b["routing_key"]) for b in listed(vhost, "bindings") if b["source"]}
        assert bindings == {(b["source"], b["destination"], b["routing_key"]) for b in DECLARED["bindings"]}

    def test_changes_nothing_the_second_time(self, vhost: Vhost) -> None:
        before = [listed(vhost, kind) for kind in ("bindings", "policies")]
        topology.declare(vhost.management_url, vhost.name)
        assert [listed(vhost, kind) for kind in ("bindings", "policies")] == before

    def test_puts_a_limit_back_that_was_changed(self, vhost: Vhost) -> None:
        before = listed(vhost, "policies")
        changed = {**before[0], "definition": {"delivery-limit": 99}}
        url = f"{vhost.management_url}/api/policies/{vhost.name}/{changed['name']}"
        httpx.put(url, json=changed, trust_env=False, timeout=30).raise_for_status()
        assert listed(vhost, "policies") != before
        topology.declare(vhost.management_url, vhost.name)
        assert listed(vhost, "policies") == before

    def test_names_the_queue_that_is_there_with_other_arguments(self, broker: Broker) -> None:
        bare = broker.fresh_vhost(declared=False)
        url = f"{bare.management_url}/api/queues/{bare.name}/payments.new"
        httpx.put(url, json={"durable": True, "arguments": {}}, trust_env=False, timeout=30).raise_for_status()
        with pytest.raises(LocalError, match=r"refused PUT .*payments\.new"):
            topology.declare(bare.management_url, bare.name)


class TestDeclareFunctionsUsers:
    def test_gives_them_rights_in_this_virtual_host_alone_and_no_way_into_the_management(
        self, broker: Broker, vhost: Vhost
    ) -> None:
        user, other = User(f"functions-{vhost.name}", PASSWORD, vhost), broker.fresh_vhost(declared=False)
        topology.declare_functions_users(vhost.management_url, vhost.name, username=user.name)
        assert permissions(vhost)[user.name] == permissions(vhost)[f"{user.name}-b"] == rights(topology.read())
        assert (user.can_connect_to(vhost), user.can_connect_to(other)) == (True, False)
        assert user.ask("GET", "overview").status_code == httpx.codes.UNAUTHORIZED

    def test_counts_the_shards_among_them(self, broker: Broker) -> None:
        vhost = broker.fresh_vhost(payment_shards=2)
        name = f"functions-{vhost.name}"
        topology.declare_functions_users(vhost.management_url, vhost.name, payment_shards=2, username=name)
        given = permissions(vhost)[name]
        assert all(re.search(given["read"], name) for name in ("payments.new.0", "payments.new.1", "webhooks"))
        assert re.search(given["read"], "payments.dead")
        assert not re.search(given["write"], "payments.dead")
        assert re.search(given["write"], "payments.new.shards")
        assert not any(re.search(given["configure"], name) for name in ("payments.new", "payments", "mine"))
