"""The limit of open files, which a shell usually sets to 1,024 and every process inherits.

It is too few for thousands of connections, and for RabbitMQ: each quorum queue reserves some, and with some hundreds of
queues RabbitMQ 3.10 waits without a word, for ever, with the next queue, virtual host or connection it is asked for.
"""

import resource

# Where the system names no limit; macOS refuses a process more.
UNLIMITED = 10_240


def raise_limit() -> int:
    """Allow this process and all that it starts as many open files as the system gives; the number of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
