"""The Terraform root `topology` and the topology file agree, read without Terraform and without its provider.

Each rule is proved by a planted violation. That the root works on a real broker is shown by
`tests/infra/terraform/test_topology.py`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from local.settings import PROJECT
from local.stack.topology import TOPOLOGY_FILE
from tests.support import hcl
from tests.support.topology_rules import violations

TEXTS = hcl.texts_of(PROJECT / "infra" / "terraform" / "topology")
TOPOLOGY: dict[str, Any] = json.loads(TOPOLOGY_FILE.read_text())


def test_the_root_declares_what_the_file_says_and_nothing_else() -> None:
    assert violations(hcl.read(TEXTS), TOPOLOGY) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        (
            "main.tf",
            "for_each = local.queues",
            "for_each = local.whole_queues",
            "rabbitmq_queue.this leaves out the sh",
        ),
        (
            "main.tf",
            "for one in local.topology.policies : one.name => one }",
            "for one in [] : one.name => one }",
            "rabbitmq_policy.this is not for each of local.topology.policies",
        ),
        (
            "main.tf",
            "durable        = each.value.durable",
            'durable = "true"',
            "rabbitmq_queue.this says 'true' itself",
        ),
        (
            "main.tf",
            "routing_key      = each.value.routing_key",
            'routing_key      = "payments.new"',
            "'payments.new' is written out instead of read",
        ),
        (
            "users.tf",
            "read  = keys(local.queues)",
            'read = ["webhooks"]',
            "'webhooks' is written out instead of read",
        ),
        ("users.tf", "read  = keys(local.queues)", 'read = ["w.*"]', 'the right to read ["w.*"] does not come from'),
        ("outputs.tf", '"payments.new"', '"payments.old"', "an output asks after 'payments.old'"),
        ("main.tf", "priority   = each.value.priority", "", "priority in policies of the file is not read"),
        ("main.tf", "{ hash-header = one.hash_header }", "{}", "hash_header in shards of the file is not read"),
        (
            "main.tf",
            "local.topology.queues",
            "local.topology.queue_list",
            "local.topology.queue_list is not in the file",
        ),
        ("main.tf", "prevent_destroy = true", "prevent_destroy = false", "rabbitmq_queue.this may be destroyed"),
        ("main.tf", "depends_on = [rabbitmq_policy.this]", "", "rabbitmq_queue.this may be there without its limits"),
        ("main.tf", "create_before_destroy = true", "create_before_destroy = false", "may leave an exchange without a"),
        (
            "users.tf",
            "ignore_changes = [password, tags]",
            "ignore_changes = [tags]",
            "its first password back (password)",
        ),
        ("users.tf", "ignore_changes = [password, tags]", "ignore_changes = [password]", "first password back (tags)"),
        ("users.tf", 'configure = "^$"', 'configure = ".*"', "lets '.*' be configured"),
        ("variables.tf", "sensitive   = true", "sensitive   = false", "password is not sensitive"),
    ],
)
def test_a_deviation_of_the_root_is_named(file: str, old: str, new: str, named: str) -> None:
    planted = {**TEXTS, file: TEXTS[file].replace(old, new)}
    assert planted != TEXTS, "nothing was planted"
    found = violations(hcl.read(planted), TOPOLOGY)
    assert any(named in sentence for sentence in found), found


def entry(kind: str, name: str, topology: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(found for found in topology[kind] if found["name"] == name)
    return found


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (lambda t: t.update(users=[]), "users of the file is not read"),
        (lambda t: t["queues"][0].update(colour="red"), "colour in queues of the file is not read"),
        (lambda t: t["queues"][0].update(durable=False), "payments.new is no durable quorum queue"),
        (lambda t: t["queues"][0]["arguments"].update({"x-delivery-limit": 3}), "payments.new is no durable quorum"),
        (lambda t: t["queues"].pop(0), "to payments.new leads nowhere"),
        (lambda t: t["shards"][0].update(queue="nothing"), "shards of nothing, which is no queue"),
        (lambda t: t["policies"].pop(0), "payments.new is under 0 policies"),
        (
            lambda t: entry("policies", "paybridge-webhooks", t).update(pattern="^(w|p)"),
            "payments.new is under 2 polic",
        ),
        (lambda t: entry("policies", "paybridge-webhooks", t).update(pattern="."), "payments.dead is under 2 policies"),
        (lambda t: t["policies"].pop(), "payments.dead is under 0 policies"),
        (lambda t: t["policies"][-1]["definition"].update({"delivery-limit": 20}), "payments.dead does not keep"),
        (lambda t: t["policies"][0]["definition"].pop("overflow"), "dead letters of payments.new may be lost"),
        (lambda t: t["bindings"].pop(), "dead letters of payments.new reach no queue"),
    ],
)
def test_a_mistake_in_the_file_is_named(plant: Callable[[dict[str, Any]], object], named: str) -> None:
    planted = copy.deepcopy(TOPOLOGY)
    plant(planted)
    found = violations(hcl.read(TEXTS), planted)
    assert any(named in sentence for sentence in found), found
