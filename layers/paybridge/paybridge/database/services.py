"""The services that have rights of their own in the database, and how a session works as one of them.

Every table belongs to the role that the functions log in as. A function of a service works as another role, so that a
statement on the tables of another service is refused by PostgreSQL. The role of the service `ledger` of the login
`paybridge` is `paybridge_ledger`. It cannot log in, and has the rights of `rights.py`.

Where there is no such role a session keeps every right: not every server lets us create roles.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """A service with a schema of the same name, and the tables of others that it reads and adds rows to."""

    name: str
    reads: tuple[str, ...]
    adds_to: tuple[str, ...] = ()


# It counts what it posts.
LEDGER = Service("ledger", ("outbox", "merchant_fees"), ("counter_deltas",))
ANALYTICS = Service("analytics", ("outbox", "webhook_deliveries"))
SERVICES = {service.name: service for service in (LEDGER, ANALYTICS)}

# The role that the session works as from now on; no row if it keeps its own.
_ASSUME_ROLE = """
    SELECT set_config('role', rolname, false) FROM pg_roles
    WHERE rolname = session_user || '_{service}' AND pg_has_role(session_user, oid, 'MEMBER')
      AND has_schema_privilege(oid, to_regnamespace('{service}'), 'USAGE')
"""


def role_of(login: str, service: Service) -> str:
    """Return the name of the role as which a service works that logs in as `login`."""
    return f"{login}_{service.name}"


def assume_role(service: Service) -> str:
    """Return the command by which a session that has just begun works as the service, if that has a role with rights.

    RDS Proxy refuses a role among the options of the connection. Sent with the other settings it costs no round trip.
    """
    return _ASSUME_ROLE.format(service=service.name)
