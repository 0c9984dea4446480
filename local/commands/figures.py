"""What waits in a running stack: in the outbox, in the queues, with the gateway."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote, urlsplit

import pg8000.exceptions

from local.servers import postgres, rabbitmq
from local.settings import LocalSettings

ANSWER_SECONDS_MAX = 5
DEAD_LETTERS_QUEUE = "payments.dead"

_OUTBOX = """
    SELECT count(*), coalesce(extract(epoch FROM now() - min(available_at)), 0)::float8
    FROM outbox WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
"""
_UNSETTLED = """
    SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8
    FROM payments WHERE is_unsettled
"""
_CIRCUITS = "SELECT name, open_until FROM circuits WHERE open_until > now() ORDER BY name"
_PACES = "SELECT name, calls_per_second::float8 FROM circuits WHERE pace_ends_at > now() ORDER BY name"
_DEAD_LETTERS = "SELECT count(*) FROM dead_letters WHERE state = 'dead'"


class FiguresUnavailable(Exception):
    """A server does not answer. The message says why."""


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """What the database knows. Ages are those of the oldest, in seconds, 0 if there is none."""

    outbox_due: int
    outbox_age_seconds: float
    unsettled_payments: int
    unsettled_age_seconds: float
    dead_letters: int
    # The open circuits of the gateway, and when each lets a call through again.
    open_circuits: tuple[tuple[str, datetime], ...]
    # What the gateway has slowed down by 429, and its calls per second.
    paces: tuple[tuple[str, float], ...]


def database_figures(settings: LocalSettings) -> DatabaseFigures:
    """Ask the database of the stack. Raises FiguresUnavailable."""
    try:
        connection = postgres.connect(postgres.database_url_of(settings), timeout_seconds=ANSWER_SECONDS_MAX)
        with closing(connection):
            ((due, due_age_seconds),) = connection.run(_OUTBOX)
            ((unsettled, unsettled_age_seconds),) = connection.run(_UNSETTLED)
            ((dead_letters,),) = connection.run(_DEAD_LETTERS)
            circuits, paces = connection.run(_CIRCUITS), connection.run(_PACES)
    except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError) as error:
        raise FiguresUnavailable(_reason(error)) from None
    return DatabaseFigures(
        outbox_due=due,
        outbox_age_seconds=due_age_seconds,
        unsettled_payments=unsettled,
        unsettled_age_seconds=unsettled_age_seconds,
        dead_letters=dead_letters,
        open_circuits=tuple((name, until) for name, until in circuits),
        paces=tuple((name, calls_per_second) for name, calls_per_second in paces),
    )


def queue_depths(settings: LocalSettings) -> dict[str, int]:
    """Ask the broker for the messages in each queue of the stack. Raises FiguresUnavailable."""
    management = urlsplit(rabbitmq.management_url_of(settings))
    vhost = unquote(urlsplit(rabbitmq.amqp_url_of(settings)).path[1:]) or "/"
    login = f"{unquote(management.username or '')}:{unquote(management.password or '')}"
    secure = management.scheme == "https"
    make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = make(management.hostname or "127.0.0.1", management.port, timeout=ANSWER_SECONDS_MAX)
    try:
        path = f"{management.path.rstrip('/')}/api/queues/{quote(vhost, safe='')}?columns=name,messages"
        connection.request("GET", path, headers={"Authorization": f"Basic {b64encode(login.encode()).decode()}"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise FiguresUnavailable(f"its management API answers {answer.status}")
        # A queue that was declared a moment ago has no count yet.
        return {queue["name"]: int(queue.get("messages", 0)) for queue in json.loads(answer.read())}
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FiguresUnavailable(_reason(error)) from None
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    # pg8000 passes the fields of the server's message on.
    if error.args and isinstance(error.args[0], dict):
        return str(error.args[0].get("M", error))
    # pg8000 names its parameters. What the system said is the cause.
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(error) or type(error).__name__
