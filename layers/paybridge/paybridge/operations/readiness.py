"""Check whether this environment can accept payments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from paybridge.core.errors import BrokerUnavailable, DatabaseUnavailable, QueryFailed
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.outbox.lag import relay_lag_seconds


class BrokerProbe(Protocol):
    """Checks that the broker answers."""

    def check(self) -> None:
        """Return once the broker has answered. Raises BrokerUnavailable after a short deadline."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. `facts` are JSON-ready and public."""

    name: str
    ok: bool
    facts: dict[str, Any]


def check_readiness(database: Database, broker: BrokerProbe | None) -> list[Check]:
    """Check database, schema, relay and broker. A part that is down is a failed check, not an error.

    Accepting payments needs no broker: leave it out to check that alone.
    """
    return [*_check_database(database), *([_check_broker(broker)] if broker is not None else [])]


def _check_database(database: Database) -> list[Check]:
    expected_revision = health.expected_schema_revision()
    try:
        revision = health.schema_revision(database)
        lag_seconds = relay_lag_seconds(database)
    except DatabaseUnavailable:
        return [Check("database", False, {})]
    except QueryFailed:
        return [Check("database", True, {}), Check("schema", False, {"expected": expected_revision})]
    return [
        Check("database", True, {}),
        # A database ahead of the code is fine: migrations run before the deploy and old code keeps working.
        Check("schema", revision is not None and revision >= expected_revision, {"revision": revision}),
        # A lag is reported and never fails the check: accepting payments does not need the relay.
        Check("relay", True, {"lag_seconds": round(lag_seconds, 3)}),
    ]


def _check_broker(broker: BrokerProbe) -> Check:
    try:
        broker.check()
    except BrokerUnavailable:
        return Check("broker", False, {})
    return Check("broker", True, {})
