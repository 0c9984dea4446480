"""Makes the role that the functions log in as, in a database that has only its administrator."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.core.errors import DatabaseLoginRefused
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.secrets import store as roles


@dataclass(frozen=True, slots=True)
class PreparedRole:
    """What had to be done; nothing when everything was there already."""

    created: bool
    password_set: bool
    objects_taken_over: int


def prepare_role(admin: Database, functions: Database, role: str, password: str) -> PreparedRole:
    """Sees to it that the functions can log in as `role`, and own what the migrations make.

    `functions` is the database by their login. Their password is set only when that login is refused: a rotation that
    is under way goes on undisturbed. Running it again, or twice at once, does no harm.

    Raises DatabaseUnavailable, and QueryFailed when the administrator may not do what has to be done.
    """
    created = roles.ensure_role(admin, role, password)
    password_set = not created and _is_refused(functions)
    if password_set:
        roles.change_password(admin, role, password)
    taken_over = roles.ensure_rights(admin, role)
    health.ping(functions)
    return PreparedRole(created, created or password_set, taken_over)


def _is_refused(functions: Database) -> bool:
    try:
        health.ping(functions)
    except DatabaseLoginRefused:
        return True
    return False
