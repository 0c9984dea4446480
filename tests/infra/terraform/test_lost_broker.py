"""After the loss of a broker with all its data, applying the topology restores everything on the empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.servers import rabbitmq
from local.stack import topology
from local.testkit.servers import Broker, private_settings, start_broker, stop_and_remove
from tests.support.terraform_topology import declared, permissions, terraform_for

pytestmark = [pytest.mark.integration, pytest.mark.terraform, pytest.mark.timeout(300)]


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for this test alone, because it is lost."""
    started = start_broker(private_settings(tmp_path_factory.mktemp("rabbitmq")))
    yield started
    stop_and_remove(started)


def test_terraform_makes_everything_again_although_its_state_has_it(own_broker: Broker, tmp_path: Path) -> None:
    vhost = own_broker.fresh_vhost(declared=False)
    terraform = terraform_for(vhost, tmp_path)
    terraform.apply()
    before, granted = declared(vhost), permissions(vhost)

    own_broker.stop()
    rabbitmq.remove_data(own_broker.settings)
    own_broker.start()
    topology.create_vhost(own_broker.management_url, vhost.name)
    assert not declared(vhost)["queues"]

    terraform.apply()

    assert (declared(vhost), permissions(vhost)) == (before, granted)
    assert terraform.changes() == []
