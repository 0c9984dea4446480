"""What must hold between `infra/topology.json` and the Terraform root that declares it, and within the file.

Each rule gives the sentences of its violations; none is empty. They need neither Terraform nor a provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.hcl import Root, literals, strings

Topology = Mapping[str, Any]

# What each list of the file becomes. Shards are spelled out as exchanges, queues and bindings.
DECLARED_BY = {
    "exchanges": "rabbitmq_exchange",
    "queues": "rabbitmq_queue",
    "bindings": "rabbitmq_binding",
    "policies": "rabbitmq_policy",
}
# Far more than anybody looks at a dead letter.
LOOKS_MIN = 100_000
SHARDS_BECOME = ("rabbitmq_exchange", "rabbitmq_queue", "rabbitmq_binding")


def violations(root: Root, topology: Topology) -> list[str]:
    """All of them."""
    rules = (_declared, _by_hand, _hard_coded, _unread, _missing, _unguarded, _unrotated, _rights)
    return [sentence for rule in rules for sentence in rule(root, topology)] + list(_inconsistent(topology))


def _declared(root: Root, topology: Topology) -> Iterator[str]:
    """Every entry of the file becomes a resource."""
    for key, kind in DECLARED_BY.items():
        for name, body in root.resources.get(kind, {"nothing": {}}).items():
            reach = root.reach_of(body.get("for_each", ""))
            if f"local.topology.{key}" not in reach:
                yield f"{kind}.{name} is not for each of local.topology.{key}"
            if kind in SHARDS_BECOME and "local.topology.shards" not in reach:
                yield f"{kind}.{name} leaves out the shards"


def _by_hand(root: Root, topology: Topology) -> Iterator[str]:
    """A resource has nothing written out: all it says comes from the file."""
    for kind in DECLARED_BY.values():
        for name, body in root.resources.get(kind, {}).items():
            for text in strings(body):
                if not text.startswith("${"):
                    yield f"{kind}.{name} says {text!r} itself"


def _hard_coded(root: Root, topology: Topology) -> Iterator[str]:
    """No name of the file is written a second time, but for asking after one of its queues in an output."""
    names = {one["name"] for key in ("exchanges", "queues", "policies") for one in topology[key]}
    names |= {one["exchange"] for one in topology["shards"]}
    for text in literals([root.locals, root.resources]):
        if text in names:
            yield f"{text!r} is written out instead of read from the file"
    for text in literals([one["value"] for one in root.outputs.values()]):
        if "." in text and text not in names:
            yield f"an output asks after {text!r}, which the file does not have"


def _unread(root: Root, topology: Topology) -> Iterator[str]:
    """Every key of the file is used. An unused key would have no effect."""
    text = "\n".join(strings([root.locals, root.resources]))
    for key, entries in topology.items():
        if f"local.topology.{key}" not in text:
            yield f"{key} of the file is not read"
        for name in sorted({name for entry in entries for name in entry}):
            if not re.search(rf"\b(one|each\.value)\.{name}\b", text):
                yield f"{name} in {key} of the file is not read"


def _missing(root: Root, topology: Topology) -> Iterator[str]:
    """Nothing is read that the file does not have."""
    text = "\n".join(strings([root.locals, root.resources, root.outputs]))
    for key in sorted(set(re.findall(r"local\.topology\.(\w+)", text)) - set(topology)):
        yield f"local.topology.{key} is not in the file"


def _unguarded(root: Root, topology: Topology) -> Iterator[str]:
    """What would lose payments is refused by Terraform itself."""
    for name, body in root.resources.get("rabbitmq_queue", {}).items():
        if _lifecycle(body).get("prevent_destroy") is not True:
            yield f"rabbitmq_queue.{name} may be destroyed"
        if "rabbitmq_policy" not in str(body.get("depends_on")):
            yield f"rabbitmq_queue.{name} may be there without its limits"
    for name, body in root.resources.get("rabbitmq_binding", {}).items():
        if _lifecycle(body).get("create_before_destroy") is not True:
            yield f"rabbitmq_binding.{name} may leave an exchange without a queue"


def _unrotated(root: Root, topology: Topology) -> Iterator[str]:
    """A password that was rotated since stays."""
    for name, body in root.resources.get("rabbitmq_user", {}).items():
        ignored = "".join(map(str, _lifecycle(body).get("ignore_changes", [])))
        for attribute in ("password", "tags"):
            if attribute not in ignored:
                yield f"rabbitmq_user.{name} would bring its first password back ({attribute})"


def _rights(root: Root, topology: Topology) -> Iterator[str]:
    """No user may declare or delete anything, rights come from the file, and passwords are sensitive."""
    for name, body in root.resources.get("rabbitmq_permissions", {}).items():
        for permissions in body["permissions"]:
            if permissions["configure"] != "^$":
                yield f"rabbitmq_permissions.{name} lets {permissions['configure']!r} be configured"
    users = str(root.locals.get("users", ""))
    for right, granted in re.findall(r"\b(write|read) = ((?:[^,(){}]|\([^)]*\))+)", users):
        if granted.strip() != "[]" and not re.search(r"\blocal\.\w+", granted):
            yield f"the right to {right} {granted.strip()} does not come from the file"
    for name, body in root.variables.items():
        if name.endswith("_password") and body.get("sensitive") is not True:
            yield f"the variable {name} is not sensitive"


def _inconsistent(topology: Topology) -> Iterator[str]:
    """The file fits together, and no message in it can be lost or stuck."""
    exchanges = {one["name"] for one in topology["exchanges"]}
    queues = {one["name"] for one in topology["queues"]}
    for one in topology["bindings"]:
        if one["source"] not in exchanges or one["destination"] not in queues:
            yield f"the binding from {one['source']} to {one['destination']} leads nowhere"
    for one in topology["shards"]:
        if one["queue"] not in queues:
            yield f"there are shards of {one['queue']}, which is no queue"
    for one in topology["queues"]:
        if one["arguments"] != {"x-queue-type": "quorum"} or not one["durable"]:
            yield f"{one['name']} is no durable quorum queue without other arguments"
        yield from _policy_faults(one["name"], topology)


def _policy_faults(queue: str, topology: Topology) -> Iterator[str]:
    """Every queue has exactly one policy, by which nothing is lost on the way to the dead letters, or among them."""
    matching = [one for one in topology["policies"] if re.search(one["pattern"], queue)]
    dead_letter_exchanges = {one["definition"].get("dead-letter-exchange") for one in topology["policies"]}
    holds_dead_letters = any(
        one["source"] in dead_letter_exchanges and one["destination"] == queue for one in topology["bindings"]
    )
    if len(matching) != 1:
        yield f"{queue} is under {len(matching)} policies"
    for one in matching:
        if holds_dead_letters:
            yield from _dead_letters_kept(queue, one["definition"])
        else:
            yield from _dead_letters_safe(queue, one["definition"], topology)


def _dead_letters_kept(queue: str, definition: Mapping[str, Any]) -> Iterator[str]:
    """Looking at a message is a delivery, and RabbitMQ 4 drops what had twenty of them where nothing else is said."""
    if set(definition) != {"delivery-limit"} or definition["delivery-limit"] < LOOKS_MIN:
        yield f"{queue} does not keep what is looked at"


def _dead_letters_safe(queue: str, definition: Mapping[str, Any], topology: Topology) -> Iterator[str]:
    if (definition.get("dead-letter-strategy"), definition.get("overflow")) != ("at-least-once", "reject-publish"):
        yield f"dead letters of {queue} may be lost"
    there = (definition.get("dead-letter-exchange"), definition.get("dead-letter-routing-key"))
    if there not in {(binding["source"], binding["routing_key"]) for binding in topology["bindings"]}:
        yield f"dead letters of {queue} reach no queue"


def _lifecycle(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for block in body.get("lifecycle", []) for name, value in block.items()}
