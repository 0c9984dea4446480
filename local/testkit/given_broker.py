"""A RabbitMQ that variables give to the test session, instead of the private one that the session starts.

So the messaging tests (`pytest -m broker`) run against any version, wherever it is; `make test-brokers` does that with
every version that it can start.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

import httpx

from local.errors import LocalError
from local.servers import rabbitmq
from local.servers.processes import Processes, accepts_connections
from local.servers.progress import Progress
from local.servers.rabbitmq import RabbitMQServer
from local.settings import LocalSettings
from local.testkit.live import eventually

URL = "PAYBRIDGE_TEST_RABBITMQ_URL"
MANAGEMENT_URL = "PAYBRIDGE_TEST_RABBITMQ_MANAGEMENT_URL"
# The command that runs `rabbitmqctl` on the given broker, such as `docker exec NAME rabbitmqctl`.
CTL = "PAYBRIDGE_TEST_RABBITMQCTL"
CTL_SECONDS_MAX = 90


def is_given() -> bool:
    """Whether the session is to use a broker that runs already."""
    return bool(os.environ.get(URL))


def can_be_stopped() -> bool:
    """Whether tests may stop the broker and raise its alarms: the private one always, a given one by its tool."""
    return not is_given() or bool(os.environ.get(CTL))


def version() -> str:
    """The given broker's version, such as 4.2; LocalError with a sentence for the user when it does not tell."""
    url = os.environ.get(MANAGEMENT_URL, "").rstrip("/")
    try:
        answer = httpx.get(f"{url}/api/overview", timeout=20, trust_env=False).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LocalError(f"{MANAGEMENT_URL} leads to no RabbitMQ ({error}): correct it.") from None
    return ".".join(answer["rabbitmq_version"].split(".")[:2])


def settings_of_given(settings: LocalSettings, amqp_url: str = "") -> LocalSettings:
    """`settings` with the given broker, in the virtual host that `amqp_url` names."""
    management_url = os.environ.get(MANAGEMENT_URL, "")
    return replace(settings, rabbitmq_url=amqp_url or os.environ[URL], rabbitmq_management_url=management_url)


@dataclass(slots=True)
class GivenServer(RabbitMQServer):
    """The given broker. Stopped, it has closed its listeners and all connections; its node stays."""

    def stop(self) -> None:
        """Stop the broker; what is in durable queues stays."""
        rabbitmqctl(self, "stop_app")

    def start(self) -> None:
        """Start the broker again after `stop`."""
        rabbitmqctl(self, "start_app")
        eventually(self._is_ready, "the given broker is ready again", CTL_SECONDS_MAX)

    def _is_ready(self) -> bool:
        parts = urlsplit(self.amqp_url)
        return accepts_connections(parts.port or 5672) and _answers(self.management_url)


def start_given(settings: LocalSettings, processes: Processes) -> GivenServer:
    """The given broker; LocalError with a sentence for the user when it is not there."""
    found = rabbitmq.start(settings, processes, Progress(quiet=True))
    return GivenServer(found.amqp_url, found.management_url, settings, processes, found.progress)


def remove_vhosts(management_url: str, names: list[str]) -> None:
    """Delete virtual hosts of a broker that goes on after the tests, with the users that are named for them.

    Their policies go first: RabbitMQ 3.10 may lose its supervisor of dead-letter workers when a queue goes that has
    at-least-once dead-lettering, and can then declare no such queue until it is restarted.
    """
    with httpx.Client(base_url=management_url, timeout=60, trust_env=False) as client:
        for name in names:
            vhost = quote(name, safe="")
            for policy in client.get(f"/api/policies/{vhost}").raise_for_status().json():
                client.delete(f"/api/policies/{vhost}/{policy['name']}").raise_for_status()
            for one in client.get(f"/api/vhosts/{vhost}/permissions").raise_for_status().json():
                if f"-{name}" in one["user"]:
                    client.delete(f"/api/users/{quote(one['user'], safe='')}").raise_for_status()
            client.delete(f"/api/vhosts/{vhost}").raise_for_status()


def rabbitmqctl(server: RabbitMQServer, *arguments: str) -> None:
    """Runs the broker's own tool; of a private broker with the environment of its server, which says where it is."""
    if isinstance(server, GivenServer):
        assert os.environ.get(CTL), f"the broker is given: set {CTL} to the command that runs its rabbitmqctl"
        command, environment = shlex.split(os.environ[CTL]), None
    else:
        installation = rabbitmq.find_installation(server.settings, server.processes, server.progress)
        assert installation is not None, "the broker runs in Docker, where its tool is not at hand"
        command = [str(installation.server.with_name("rabbitmqctl"))]
        node = next(child.process for child in server.processes.children if child.name == "rabbitmq")
        environment = node.environ()
    done = subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=CTL_SECONDS_MAX, check=False
    )
    assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"


def _answers(management_url: str) -> bool:
    try:
        return httpx.get(f"{management_url}/api/overview", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
