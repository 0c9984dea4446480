"""The Terraform root `topology` over a virtual host of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from local.testkit.servers import Vhost
from tests.support.broker_users import User
from tests.support.terraform import Terraform, prepared

PASSWORDS = {kind: f"first-password-of-{kind}" for kind in ("functions", "monitoring", "operator")}


def users_of(vhost: Vhost) -> dict[str, User]:
    """The users that `terraform_for` makes: a broker has one name space for those of every virtual host."""
    return {kind: User(f"{kind}-{vhost.name}", password, vhost) for kind, password in PASSWORDS.items()}


def terraform_for(vhost: Vhost, folder: Path, **changes: str) -> Terraform:
    """The root, initialised for this virtual host, with all three users."""
    parts = urlsplit(vhost.management_url)
    users = users_of(vhost)
    variables = {
        "management_url": f"http://{parts.hostname}:{parts.port}",
        "management_username": unquote(parts.username or ""),
        "management_password": unquote(parts.password or ""),
        "vhost": vhost.name,
        "vhost_exists": "true",
        **{f"{kind}_username": user.name for kind, user in users.items()},
        **{f"{kind}_password": user.password for kind, user in users.items()},
    }
    return prepared("topology", folder, {**variables, **changes})


def listed(vhost: Vhost, kind: str) -> list[dict[str, Any]]:
    """What the management API lists of a kind (queues, bindings, policies …) in the virtual host."""
    found: list[dict[str, Any]] = _get(vhost, f"{kind}/{quote(vhost.name, safe='')}")
    return found


def queue(vhost: Vhost, name: str) -> dict[str, Any]:
    """What the management API tells about one queue."""
    found: dict[str, Any] = _get(vhost, f"queues/{quote(vhost.name, safe='')}/{quote(name, safe='')}")
    return found


def permissions(vhost: Vhost) -> dict[str, dict[str, str]]:
    """What each user may configure, write and read in the virtual host."""
    rights = ("configure", "write", "read")
    found = _get(vhost, f"vhosts/{quote(vhost.name, safe='')}/permissions")
    return {one["user"]: {right: one[right] for right in rights} for one in found}


def declared(vhost: Vhost) -> dict[str, Any]:
    """Everything that was declared in the virtual host, in a form that can be compared."""
    return {
        "exchanges": {
            one["name"]: (one["type"], one["durable"], one["auto_delete"], one["arguments"])
            for one in listed(vhost, "exchanges")
            if one["name"] and not one["name"].startswith("amq.")
        },
        "queues": {
            one["name"]: (one["type"], one["durable"], one["auto_delete"], one["arguments"])
            for one in listed(vhost, "queues")
        },
        "bindings": bindings(vhost),
        "policies": {
            one["name"]: (one["pattern"], one["apply-to"], one["priority"], one["definition"])
            for one in listed(vhost, "policies")
        },
    }


def bindings(vhost: Vhost) -> set[tuple[str, str, str, str]]:
    """The bindings but for those to the default exchange, as (source, destination, its kind, key)."""
    return {
        (one["source"], one["destination"], one["destination_type"], one["routing_key"])
        for one in listed(vhost, "bindings")
        if one["source"]
    }


def in_effect(definition: Mapping[str, Any], vhost: Vhost, name: str) -> bool:
    """Whether the broker has applied these settings to the queue, as it tells some moments after a change."""
    effective = queue(vhost, name).get("effective_policy_definition") or {}
    return dict(effective) == dict(definition)


def _get(vhost: Vhost, path: str) -> Any:
    return httpx.get(f"{vhost.management_url}/api/{path}", timeout=20, trust_env=False).raise_for_status().json()
