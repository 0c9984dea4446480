"""Create the role that the functions log in as, in a database that has only its administrator."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.core.errors import DatabaseLoginRefused
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.secrets import store as roles


@dataclass(frozen=True, slots=True)
class PreparedRole:
    """The changes made; none if everything was in place."""

    created: bool
    password_set: bool
    objects_taken_over: int


def prepare_role(admin: Database, functions: Database, role: str, password: str) -> PreparedRole:
    """Make sure that the functions can log in as `role` and own what the migrations create.

    `functions` is the database with their login. Their password is set only if that login is refused, so that a
    rotation in progress is not disturbed. Safe to repeat, also concurrently.

    Raises DatabaseUnavailable, and QueryFailed if the administrator lacks a right.
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
