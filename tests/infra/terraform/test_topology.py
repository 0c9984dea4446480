"""The Terraform root `topology`, applied to the RabbitMQ of the test run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers.broker_users import rights
from local.stack import topology as local_topology
from local.testkit.live import eventually
from local.testkit.servers import Broker, Vhost
from paybridge.secrets.broker_users import TWIN_SUFFIX
from tests.support.broker_users import User
from tests.support.terraform_topology import declared, in_effect, listed, permissions, queue, terraform_for, users_of

pytestmark = [pytest.mark.integration, pytest.mark.terraform, pytest.mark.broker, pytest.mark.timeout(300)]

DECLARED = local_topology.read()
SHARDS = 3


@pytest.fixture
def bare_vhost(broker: Broker) -> Vhost:
    return broker.fresh_vhost(declared=False)


def three_shards(topology: dict[str, Any]) -> None:
    topology["shards"][0]["count"] = SHARDS


def policy_of(name: str) -> dict[str, Any]:
    """Return the settings of a queue in infra/topology.json."""
    matching = [one["definition"] for one in DECLARED["policies"] if re.search(one["pattern"], name)]
    return matching[0] if matching else {}


def test_declares_the_file_and_then_has_nothing_to_change(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)

    terraform.apply()

    assert terraform.changes() == []
    for one in DECLARED["queues"]:
        found = queue(bare_vhost, one["name"])
        assert (found["type"], found["durable"], found["arguments"]) == ("quorum", True, one["arguments"])
        # Limit and dead-lettering as effective on the queue, not only in the policy.
        settings = policy_of(one["name"])
        eventually(lambda name=one["name"], wanted=settings: in_effect(wanted, bare_vhost, name), "the queue's policy")


def test_the_offline_stack_accepts_the_topology_of_terraform(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.apply()
    before = declared(bare_vhost)
    # RabbitMQ refuses to redeclare an object with other settings.
    local_topology.declare(bare_vhost.management_url, bare_vhost.name)
    assert declared(bare_vhost) == before
    assert terraform.changes() == []
    assert permissions(bare_vhost)[users_of(bare_vhost)["functions"].name] == rights(DECLARED)


def test_terraform_takes_over_the_topology_of_the_offline_stack(broker: Broker, tmp_path: Path) -> None:
    vhost = broker.fresh_vhost()
    before = declared(vhost)
    terraform = terraform_for(vhost, tmp_path)
    terraform.apply()
    assert declared(vhost) == before
    assert terraform.changes() == []


def test_takes_a_changed_limit_without_touching_a_queue_and_destroys_none(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.apply()
    admin = User("guest", "guest", bare_vhost)
    assert admin.publish("payments", "payments.new").json() == {"routed": True}

    def raise_limit(topology: dict[str, Any]) -> None:
        work = next(one for one in topology["policies"] if one["name"] == "paybridge-work")
        work["definition"]["delivery-limit"] = 7

    terraform.edit_topology(raise_limit)
    assert terraform.changes() == [('rabbitmq_policy.this["paybridge-work"]', ("update",))]
    terraform.apply()

    changed = {**policy_of("payments.new"), "delivery-limit": 7}
    eventually(lambda: in_effect(changed, bare_vhost, "payments.new"), "the new limit")
    refused = terraform.run("destroy", "-auto-approve", "-no-color")
    assert refused.returncode != 0
    assert "prevent_destroy" in refused.stdout + refused.stderr
    assert {one["name"] for one in listed(bare_vhost, "queues")} == {one["name"] for one in DECLARED["queues"]}
    assert [one["payload"] for one in admin.take("payments.new").json()] == ["x"]


def test_refuses_to_let_go_of_a_queue_that_left_the_file(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.apply()

    def without_retries(topology: dict[str, Any]) -> None:
        for key, name in (("queues", "name"), ("bindings", "destination")):
            topology[key] = [one for one in topology[key] if one[name] != "webhooks.retry"]

    terraform.edit_topology(without_retries)
    refused = terraform.run("plan", "-input=false", "-no-color")
    assert refused.returncode != 0
    assert "prevent_destroy" in refused.stderr
    assert queue(bare_vhost, "webhooks.retry")["name"] == "webhooks.retry"


def test_spells_shards_out_as_the_offline_stack_does(broker: Broker, bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.edit_topology(three_shards)
    terraform.apply()

    other = broker.fresh_vhost(payment_shards=SHARDS)
    assert declared(bare_vhost) == declared(other)
    counted = local_topology.read(counts={"payments.new": SHARDS})
    functions = users_of(bare_vhost)["functions"].name
    granted = permissions(bare_vhost)
    assert granted[functions] == granted[f"{functions}{TWIN_SUFFIX}"] == rights(counted)
    assert terraform.changes() == []


def test_makes_the_virtual_host_that_is_not_there_yet(broker: Broker, bare_vhost: Vhost, tmp_path: Path) -> None:
    made = broker.named_vhost(f"{bare_vhost.name}-made")
    terraform = terraform_for(made, tmp_path, vhost_exists="false", monitoring_username="", operator_username="")
    terraform.apply()
    assert terraform.changes() == []
    assert {one["name"] for one in listed(made, "queues")} == {one["name"] for one in DECLARED["queues"]}
    # Only the functions' two users and the creator, unless other users are named.
    functions = users_of(made)["functions"].name
    assert set(permissions(made)) - {"guest"} == {functions, f"{functions}{TWIN_SUFFIX}"}


def test_a_rotated_password_stays(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.apply()
    functions = users_of(bare_vhost)["functions"]
    rotated = {"password": "rotated-since-then", "tags": ""}
    url = f"{bare_vhost.management_url}/api/users/{functions.name}"
    httpx.put(url, json=rotated, timeout=20, trust_env=False).raise_for_status()

    by_now = {
        "functions_username": f"{functions.name}{TWIN_SUFFIX}",
        "functions_password": "what-the-secret-has-by-now",
    }
    later = terraform_for(bare_vhost, tmp_path / "later", **by_now)
    later.take_state_of(terraform)
    assert later.changes() == []
    later.apply()

    assert User(functions.name, rotated["password"], bare_vhost).can_connect_to(bare_vhost)
    assert not functions.can_connect_to(bare_vhost)
