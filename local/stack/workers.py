"""Run `paybridge worker` on this machine in place of the Lambda relay and the queue mappings."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.sam_template.template import read_template
from local.servers.processes import Child, Processes
from local.settings import PROJECT, LocalSettings
from local.stack import seed

# The function, by logical id, whose work each worker does.
FUNCTIONS = {
    "relay": "RelayFunction",
    "consumer": "ConsumerFunction",
    "intake": "IntakeFunction",
    "webhooks": "WebhooksFunction",
    "webhooks-retry": "WebhooksFunction",
    "notifier": "NotifierFunction",
    "bridge": "BridgeFunction",
    "ledger": "LedgerFunction",
    "dead-letters": "DeadLettersFunction",
}
START_SECONDS_MAX = 90
READY = b'"worker ready"'


def replaced_functions() -> list[str]:
    """Return the logical ids of the functions that the workers replace."""
    return sorted(set(FUNCTIONS.values()))


def process_names(settings: LocalSettings) -> list[str]:
    """Name the workers' processes, as they are called in `.local/pids` and `.local/logs`."""
    return [name for worker in FUNCTIONS for name in _names_of(worker, settings.workers)]


def start(
    settings: LocalSettings, processes: Processes, parameters: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    """Start the workers and return when each of them takes from its queues.

    Each has the variables that the template gives to its function, over those of `environment`.
    """
    template = read_template(
        PROJECT / "template.yaml", parameters, read_ssm=lambda name: seed.parameter(settings, name)
    )
    children = []
    for worker, logical_id in FUNCTIONS.items():
        variables = {**environment, **template.functions[logical_id].environment}
        command = [sys.executable, "-m", "local.stack.worker", worker]
        names = _names_of(worker, settings.workers)
        children += [processes.start(name, command, variables, cwd=PROJECT) for name in names]
    for child in children:
        become_ready(processes, child)


def become_ready(processes: Processes, child: Child) -> None:
    """Wait until a worker takes from its queues. Raises ServerDiedError or NotReadyError."""
    processes.wait_until_ready(child, lambda: READY in child.output(), START_SECONDS_MAX)


def _names_of(worker: str, count: int) -> list[str]:
    return [f"worker-{worker}" if number == 1 else f"worker-{worker}-{number}" for number in range(1, count + 1)]
