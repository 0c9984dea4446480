"""Declares the broker topology of `infra/topology.json` through RabbitMQ's management API, as often as one likes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from local.errors import LocalError
from local.settings import PROJECT

if TYPE_CHECKING:
    import httpx

TOPOLOGY_FILE = PROJECT / "infra" / "topology.json"
TIMEOUT_SECONDS = 20


def declare(management_url: str, vhost: str = "/", topology_file: Path = TOPOLOGY_FILE) -> None:
    """Declare exchanges, policies, queues and bindings in `vhost` of the broker.

    `management_url` is like `http://user:password@host:15672`. What is there already stays as it is; a queue that is
    there with other arguments makes RabbitMQ refuse, which raises LocalError.
    """
    topology = json.loads(topology_file.read_text())
    with _client(management_url) as client:
        for exchange in topology["exchanges"]:
            _send(client, "PUT", _path("exchanges", vhost, exchange["name"]), _without_name(exchange))
        # Policies first: a queue is then never there without its limits.
        for policy in topology["policies"]:
            body = {name.replace("_", "-"): value for name, value in _without_name(policy).items()}
            _send(client, "PUT", _path("policies", vhost, policy["name"]), body)
        for queue in topology["queues"]:
            _send(client, "PUT", _path("queues", vhost, queue["name"]), _without_name(queue))
        for binding in topology["bindings"]:
            path = _path("bindings", vhost, "e", binding["source"], "q", binding["destination"])
            _send(client, "POST", path, {"routing_key": binding["routing_key"]})


def create_vhost(management_url: str, vhost: str) -> None:
    """Create `vhost` and give the user of `management_url` every right in it."""
    with _client(management_url) as client:
        user = str(client.get("/api/whoami").raise_for_status().json()["name"])
        _send(client, "PUT", _path("vhosts", vhost), {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        _send(client, "PUT", _path("permissions", vhost, user), everything)


def _client(management_url: str) -> httpx.Client:
    # Loaded here, because a start would have to wait for it before it could start anything.
    import httpx

    return httpx.Client(base_url=management_url, timeout=TIMEOUT_SECONDS, trust_env=False)


def _path(*parts: str) -> str:
    return "/".join(["/api", *(quote(part, safe="") for part in parts)])


def _without_name(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "name"}


def _send(client: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
    answer = client.request(method, path, json=body)
    if answer.is_error:
        raise LocalError(f"RabbitMQ refused {method} {path} ({answer.status_code}): {answer.text.strip()}")
