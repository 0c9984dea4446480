"""Check that the broker has the queues that the template maps. This needs access to the broker's network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx

from infra.account import Account
from infra.environments import Environment, functions_of
from infra.errors import InputMissingError

# The broker is in private subnets. Most machines cannot reach it, and find out after this long.
CONNECT_SECONDS_MAX = 3.0
MANAGEMENT_URL, ADMIN = "broker/management-url", "broker/admin-secret-id"


def check_topology(account: Account, environment: Environment, template: Path) -> str:
    """Return a sentence on the result. Raises InputMissingError if the broker answers and lacks a queue."""
    virtual_host = environment.parameters["BrokerVirtualHost"]
    known = account.known(MANAGEMENT_URL, ADMIN)
    absent = [environment.ssm_prefix + name for name in (MANAGEMENT_URL, ADMIN) if name not in known]
    if absent:
        return _unseen(f"SSM has no {', '.join(absent)}")
    try:
        present = _queues(known[MANAGEMENT_URL], account.login(known[ADMIN]), virtual_host)
    except InputMissingError as error:
        return _unseen(str(error).rstrip("."))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _unseen(type(error).__name__)
    missing = sorted(mapped_queues(environment, template) - present)
    if missing:
        raise InputMissingError(
            f"The broker has no queue {', '.join(missing)} in its virtual host {virtual_host}: apply "
            f"infra/terraform/topology first (make topology ENVIRONMENT={environment.name})."
        )
    return "The broker has every queue that the functions consume."


def _unseen(reason: str) -> str:
    return (
        f"The broker's queues could not be checked from here ({reason}). Make sure that the topology has been applied."
    )


def mapped_queues(environment: Environment, template: Path) -> set[str]:
    """Return the queues that the template maps to functions, for the environment's number of shards."""
    return {event.queue for function in functions_of(environment, template) for event in function.queues}


def _queues(url: str, login: Mapping[str, str], virtual_host: str) -> set[str]:
    answer = httpx.get(
        f"{url.rstrip('/')}/api/queues/{quote(virtual_host, safe='')}",
        params={"columns": "name"},
        auth=(login["username"], login["password"]),
        timeout=CONNECT_SECONDS_MAX,
        trust_env=False,
    )
    # The virtual host does not exist, so it has no queues.
    if answer.status_code == httpx.codes.NOT_FOUND:
        return set()
    return {queue["name"] for queue in answer.raise_for_status().json()}
