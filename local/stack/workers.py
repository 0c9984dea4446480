"""`paybridge worker` in the place of the Lambda relay and the queue mappings, on this machine."""

import sys
from collections.abc import Mapping

from infra.sam_template.template import read_template
from local.servers.processes import Processes
from local.settings import PROJECT, LocalSettings
from local.stack import seed

# Whose work each worker does, with how many processes of a kind it has.
FUNCTIONS = {"relay": ("RelayFunction", 1), "consumer": ("ConsumerFunction", 1), "webhooks": ("WebhooksFunction", 2)}
START_SECONDS_MAX = 30
READY = b'"worker ready"'


def replaced_functions() -> list[str]:
    """The functions, by logical id, that nothing but a worker may invoke then."""
    return [logical_id for logical_id, _ in FUNCTIONS.values()]


def start(
    settings: LocalSettings, processes: Processes, parameters: Mapping[str, str], environment: Mapping[str, str]
) -> None:
    """Start the workers, and return when each of their processes works.

    They have the variables that the template gives to the functions, over those of `environment`.
    """
    template = read_template(
        PROJECT / "template.yaml", parameters, read_ssm=lambda name: seed.parameter(settings, name)
    )
    children = {}
    for name, (logical_id, _) in FUNCTIONS.items():
        own = {**environment, **template.functions[logical_id].environment}
        command = [sys.executable, "-m", "paybridge.cli", "worker", name, "--processes", str(settings.workers)]
        children[name] = processes.start(f"worker-{name}", command, own, cwd=PROJECT)
    for name, (_, kinds) in FUNCTIONS.items():
        log, wanted = processes.log_of(f"worker-{name}"), kinds * settings.workers
        processes.wait_until_ready(
            children[name],
            lambda log=log, wanted=wanted: log.read_bytes().count(READY) >= wanted,  # type: ignore[misc]
            START_SECONDS_MAX,
        )
