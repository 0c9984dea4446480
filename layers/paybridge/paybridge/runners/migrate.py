"""Bring the schema up to date, after creating the functions' role where it is missing."""

from __future__ import annotations

import time

from paybridge import wiring
from paybridge.core.errors import Unavailable
from paybridge.database.rights import grant_rights
from paybridge.observability.logging import logger
from paybridge.operations.migrate import migrate_schema
from paybridge.secrets.prepare_role import prepare_role
from paybridge.secrets.prepare_services import prepare_services
from paybridge.wiring import secrets

# One statement of a migration may take nearly all of the function's 900 s.
STATEMENT_SECONDS_MAX = 840.0
# CloudFormation calls within seconds of creating the function's role, whose rights take a moment to spread.
# A failed first creation cannot be repeated without deleting the stack.
TRIES = 6
PAUSE_SECONDS = 10.0

log = logger()


def migrate(revision: str | None = None) -> str:
    """Bring the schema to `revision`, by default the newest, and return the revision it has then.

    Raises Unavailable if the database or a secret cannot be reached, and what `migrate_schema` raises.
    """
    _prepare_roles()
    database = wiring.database(STATEMENT_SECONDS_MAX)
    migrated = migrate_schema(database, revision)
    if without := grant_rights(database):
        log.warning("services keep every right in the database", extra={"services": without})
    log.info("migrated", extra={"before": migrated.before, "revision": migrated.revision})
    return migrated.revision


def migrate_patiently(revision: str) -> str:
    """Migrate as `migrate` does, with retries for nearly a minute while something is unavailable."""
    for _ in range(TRIES - 1):
        try:
            return migrate(revision)
        except Unavailable as error:
            log.warning("cannot migrate yet", extra={"reason": str(error)})
            time.sleep(PAUSE_SECONDS)
    return migrate(revision)


def _prepare_roles() -> None:
    """Create the roles with the administrator's login, if there is one. RDS starts with nothing else."""
    database = wiring.database(STATEMENT_SECONDS_MAX)
    with secrets.administered_database() as admin:
        if admin is None:
            reason = prepare_services(database)
        else:
            login = secrets.database_login()
            prepared = prepare_role(admin, database, login.username, login.password)
            done = {"role": login.username, "role_created": prepared.created, "password_set": prepared.password_set}
            log.info("prepared the role", extra=done)
            reason = prepare_services(admin, login.username)
    if reason:
        log.warning("cannot create the roles of services", extra={"reason": reason})
