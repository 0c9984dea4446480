"""Create the roles as which services work, which have fewer rights than the functions' role."""

from __future__ import annotations

from paybridge.core.errors import QueryFailed
from paybridge.database.database import Database
from paybridge.secrets import store as roles


def prepare_services(admin: Database, role: str | None = None) -> str | None:
    """Create the roles that are missing for `role`, by default the login itself. Return why the server does not
    allow it, None if all are there.

    Without them every function keeps every right, and works. Safe to repeat, also concurrently. Raises
    DatabaseUnavailable.
    """
    try:
        roles.ensure_service_roles(admin, role or roles.own_role(admin))
    except QueryFailed as error:
        return str(error)
    return None
