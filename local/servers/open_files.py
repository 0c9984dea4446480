"""The limit of open files, which a shell usually sets to 1,024 and every process inherits.

That is too low for thousands of connections, and for RabbitMQ: each quorum queue reserves some. With some hundreds of
queues RabbitMQ 3.10 hangs silently on the next queue, virtual host or connection.
"""

from __future__ import annotations

import resource

# For a system without a limit. macOS refuses more.
UNLIMITED = 10_240


def raise_limit() -> int:
    """Allow this process and its children as many open files as the system permits, and return that number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
