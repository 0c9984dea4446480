"""Whole offline stacks for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from local.servers import postgres
from local.settings import LocalSettings
from local.stack.stack import Stack
from local.testkit import given_broker
from local.testkit.servers import Broker


@contextmanager
def running_stack(settings: LocalSettings, broker: Broker | None) -> Iterator[Stack]:
    """A stack that runs within the block, with its private broker or in a new virtual host of `broker`."""
    if broker is not None:
        vhost = broker.fresh_vhost(declared=False)
        settings = given_broker.settings_of_given(settings, vhost.amqp_url)
    stack = Stack(settings)
    stack.start()
    if broker is not None:
        # Stopping the stack's broker stops the given one.
        stack.broker = given_broker.start_given(settings, stack.processes)
    try:
        yield stack
    finally:
        stack.processes.stop(seconds_max=1)
        postgres.remove_data(settings)
