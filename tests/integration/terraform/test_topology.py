"""The Terraform root `topology`, applied to the test run's own RabbitMQ."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from local import topology as local_topology
from tests.support.servers import Broker, Vhost
from tests.support.terraform import Terraform, prepared

pytestmark = pytest.mark.integration

DECLARED = local_topology.read()


@pytest.fixture
def bare_vhost(broker: Broker) -> Vhost:
    return broker.fresh_vhost(declared=False)


def terraform_for(vhost: Vhost, folder: Path) -> Terraform:
    parts = urlsplit(vhost.management_url)
    variables = {
        "management_url": f"http://{parts.hostname}:{parts.port}",
        "management_username": parts.username or "",
        "management_password": parts.password or "",
        "vhost": vhost.name,
        "vhost_exists": "true",
    }
    return prepared("topology", folder, variables)


def read(vhost: Vhost, kind: str) -> list[dict[str, Any]]:
    url = f"{vhost.management_url}/api/{kind}/{quote(vhost.name, safe='')}"
    found: list[dict[str, Any]] = httpx.get(url, timeout=20, trust_env=False).raise_for_status().json()
    return found


def bindings_of(vhost: Vhost) -> set[tuple[str, str, str]]:
    found = read(vhost, "bindings")
    return {(one["source"], one["destination"], one["routing_key"]) for one in found if one["source"]}


@pytest.mark.timeout(300)
def test_declares_what_the_file_says_and_then_has_nothing_to_change(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)

    terraform.apply()

    assert terraform.changes() == []
    queues = {one["name"]: one for one in read(bare_vhost, "queues")}
    assert {name: one["arguments"] for name, one in queues.items()} == {
        one["name"]: one["arguments"] for one in DECLARED["queues"]
    }
    assert all(one["durable"] for one in queues.values())
    policies = {one["name"]: (one["pattern"], one["definition"]) for one in read(bare_vhost, "policies")}
    assert policies == {one["name"]: (one["pattern"], one["definition"]) for one in DECLARED["policies"]}
    assert bindings_of(bare_vhost) == {
        (one["source"], one["destination"], one["routing_key"]) for one in DECLARED["bindings"]
    }
    # The offline stack finds nothing that it would declare in another way: RabbitMQ would refuse that.
    local_topology.declare(bare_vhost.management_url, bare_vhost.name)
    assert terraform.changes() == []


@pytest.mark.timeout(300)
def test_takes_a_changed_limit_without_touching_a_queue_and_destroys_none(bare_vhost: Vhost, tmp_path: Path) -> None:
    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.apply()

    def raise_limit(topology: dict[str, Any]) -> None:
        work = next(one for one in topology["policies"] if one["name"] == "paybridge-work")
        work["definition"]["delivery-limit"] = 7

    terraform.edit_topology(raise_limit)
    assert terraform.changes() == [('rabbitmq_policy.this["paybridge-work"]', ("update",))]
    terraform.apply()

    limits = {one["name"]: one["definition"]["delivery-limit"] for one in read(bare_vhost, "policies")}
    assert limits["paybridge-work"] == 7
    refused = terraform.run("destroy", "-auto-approve", "-no-color")
    assert refused.returncode != 0
    assert "prevent_destroy" in refused.stdout + refused.stderr
    assert {one["name"] for one in read(bare_vhost, "queues")} == {one["name"] for one in DECLARED["queues"]}


@pytest.mark.timeout(300)
def test_spells_shards_out_as_the_offline_stack_does(broker: Broker, bare_vhost: Vhost, tmp_path: Path) -> None:
    def three_shards(topology: dict[str, Any]) -> None:
        topology["shards"][0]["count"] = 3

    terraform = terraform_for(bare_vhost, tmp_path)
    terraform.edit_topology(three_shards)
    terraform.apply()

    other = broker.fresh_vhost(declared=False)
    local_topology.declare(other.management_url, other.name, payment_shards=3)
    assert bindings_of(bare_vhost) == bindings_of(other)
    assert {one["name"] for one in read(bare_vhost, "queues")} == {one["name"] for one in read(other, "queues")}
    assert terraform.changes() == []
