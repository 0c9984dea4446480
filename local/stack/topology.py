"""Declare the broker topology of `infra/topology.json` through RabbitMQ's management API. Repeating it is harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from local.errors import LocalError
from local.servers import broker_users
from local.settings import PROJECT

if TYPE_CHECKING:
    import httpx

TOPOLOGY_FILE = PROJECT / "infra" / "topology.json"
PAYMENTS_QUEUE = "payments.new"
TIMEOUT_SECONDS = 20
HASH_EXCHANGE_TYPE = "x-consistent-hash"
# The routing key of a binding to such an exchange is the queue's weight: the same for each shard.
SHARD_WEIGHT = "1"


def declare(
    management_url: str, vhost: str = "/", topology_file: Path = TOPOLOGY_FILE, payment_shards: int = 0
) -> None:
    """Declare exchanges, policies, queues and bindings in `vhost` of the broker; 0 shards means the file's number.

    `management_url` is like `http://user:password@host:15672`. What exists stays as it is, except bindings of
    another number of shards, which are removed last. Raises LocalError when RabbitMQ refuses, for example because a
    queue exists with other arguments.
    """
    topology = read(topology_file, {PAYMENTS_QUEUE: payment_shards} if payment_shards else {})
    with _client(management_url) as client:
        for exchange in topology["exchanges"]:
            _send(client, "PUT", _path("exchanges", vhost, exchange["name"]), _without_name(exchange))
        # Policies first: a queue is then never there without its limits.
        _put_policies(client, vhost, topology["policies"])
        for queue in topology["queues"]:
            _send(client, "PUT", _path("queues", vhost, queue["name"]), _without_name(queue))
        for binding in topology["bindings"]:
            path = _path("bindings", vhost, "e", binding["source"], _kind(binding), binding["destination"])
            _send(client, "POST", path, {"routing_key": binding["routing_key"]})
        _remove_bindings_of_other_numbers(client, vhost, topology)


def take_from_exchange(management_url: str, vhost: str, exchange: str, queues: Collection[str]) -> None:
    """Remove the bindings that lead from the exchange to these queues. `declare` makes them again."""
    with _client(management_url) as client:
        for found in client.get(_path("bindings", vhost)).raise_for_status().json():
            if found["source"] == exchange and found["destination"] in queues:
                path = _path("bindings", vhost, "e", exchange, _kind(found), found["destination"])
                _send(client, "DELETE", f"{path}/{quote(found['properties_key'], safe='')}", {})


def declare_functions_users(
    management_url: str, vhost: str = "/", payment_shards: int = 0, username: str = broker_users.USERNAME
) -> None:
    """Create the two users of the functions, with only the rights in `vhost` that they need.

    The URL needs an administrator's login. Raises LocalError when the broker refuses.
    """
    topology = read(counts={PAYMENTS_QUEUE: payment_shards} if payment_shards else {})
    with _client(management_url) as client:
        for name in (username, f"{username}{broker_users.TWIN_SUFFIX}"):
            _send(client, "PUT", _path("users", name), {"password": broker_users.PASSWORD, "tags": ""})
            _send(client, "PUT", _path("permissions", vhost, name), broker_users.rights(topology))


def read(topology_file: Path = TOPOLOGY_FILE, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return the topology with its shards spelled out as exchanges, queues and bindings.

    A queue with one shard stays as the file has it. One with more still exists, for the messages in it. Its bindings
    lead to an exchange that spreads messages over `<queue>.0`, `<queue>.1` and so on. `counts` overrides the file's
    numbers by the queue's name.
    """
    topology: dict[str, Any] = json.loads(topology_file.read_text())
    for shards in topology["shards"]:
        shards["count"] = (counts or {}).get(shards["queue"], shards["count"])
        if shards["count"] > 1:
            _spell_out(topology, shards)
    return topology


def payment_shards() -> int:
    """Return how many shards the file gives to the queue of new payments."""
    shards = json.loads(TOPOLOGY_FILE.read_text())["shards"]
    return int(next(entry["count"] for entry in shards if entry["queue"] == PAYMENTS_QUEUE))


def _spell_out(topology: dict[str, Any], shards: Mapping[str, Any]) -> None:
    queue, exchange = shards["queue"], shards["exchange"]
    whole = next(entry for entry in topology["queues"] if entry["name"] == queue)
    names = [f"{queue}.{number}" for number in range(shards["count"])]
    arguments = {"hash-header": shards["hash_header"]}
    topology["exchanges"].append(
        {"name": exchange, "type": HASH_EXCHANGE_TYPE, "durable": True, "arguments": arguments}
    )
    topology["queues"] += [{**whole, "name": name} for name in names]
    for binding in topology["bindings"]:
        if binding["destination"] == queue:
            binding |= {"destination": exchange, "destination_type": "exchange"}
    topology["bindings"] += [{"source": exchange, "destination": name, "routing_key": SHARD_WEIGHT} for name in names]


def _put_policies(client: httpx.Client, vhost: str, policies: Sequence[Mapping[str, Any]]) -> None:
    """Put the policies that changed. To put one again would apply it again to each of its queues."""
    existing = {policy["name"]: policy for policy in client.get(_path("policies", vhost)).raise_for_status().json()}
    for policy in policies:
        body = {name.replace("_", "-"): value for name, value in _without_name(policy).items()}
        found = existing.get(policy["name"], {})
        if body != {name: found.get(name) for name in body}:
            _send(client, "PUT", _path("policies", vhost, policy["name"]), body)


def _remove_bindings_of_other_numbers(client: httpx.Client, vhost: str, topology: Mapping[str, Any]) -> None:
    """Remove bindings of other shards, last: a message may meanwhile arrive twice, but always has a queue."""
    wanted = {_identity(binding) for binding in topology["bindings"]}
    exchanges = {exchange["name"] for exchange in topology["exchanges"]}
    for shards in topology["shards"]:
        ours = re.compile(rf"{re.escape(shards['queue'])}(\.[0-9]+)?|{re.escape(shards['exchange'])}")
        for found in client.get(_path("bindings", vhost)).raise_for_status().json():
            from_us = found["source"] in exchanges | {shards["exchange"]}
            if from_us and ours.fullmatch(found["destination"]) and _identity(found) not in wanted:
                kind = _kind(found)
                path = _path("bindings", vhost, "e", found["source"], kind, found["destination"])
                _send(client, "DELETE", f"{path}/{quote(found['properties_key'], safe='')}", {})


def _identity(binding: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return binding["source"], _kind(binding), binding["destination"], binding["routing_key"]


def _kind(binding: Mapping[str, Any]) -> str:
    """Return the kind of destination as the management API writes it: `e` or, by default, `q`."""
    return "e" if binding.get("destination_type") == "exchange" else "q"


def create_vhost(management_url: str, vhost: str) -> None:
    """Create `vhost` and give the user of `management_url` every right in it."""
    with _client(management_url) as client:
        user = str(client.get("/api/whoami").raise_for_status().json()["name"])
        _send(client, "PUT", _path("vhosts", vhost), {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        _send(client, "PUT", _path("permissions", vhost, user), everything)


def _client(management_url: str) -> httpx.Client:
    # Imported late: every start would wait for it.
    import httpx

    return httpx.Client(base_url=management_url, timeout=TIMEOUT_SECONDS, trust_env=False)


def _path(*parts: str) -> str:
    return "/".join(["/api", *(quote(part, safe="") for part in parts)])


def _without_name(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "name"}


def _send(client: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
    answer = client.request(method, path, json=body)
    if answer.is_error:
        raise LocalError(f"RabbitMQ refused {method} {path} ({answer.status_code}): {answer.text.strip()}")
