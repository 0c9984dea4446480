"""The migrate function: brings the schema up to date, for CloudFormation before new code takes traffic, or by hand."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from migrate import custom_resource
from paybridge import wiring
from paybridge.core.errors import Unavailable
from paybridge.observability.logging import logger
from paybridge.operations.migrate import migrate_schema
from paybridge.secrets.prepare_role import prepare_role

# One statement of a migration may take nearly all of the function's 900 s.
STATEMENT_SECONDS_MAX = 840.0
# Left over for telling CloudFormation that the time was not enough.
RESERVE_SECONDS = 20.0
# CloudFormation calls within seconds of making the function's role, whose rights take a moment to be known everywhere;
# and a failed first creation cannot be repeated without deleting the stack.
TRIES = 6
PAUSE_SECONDS = 10.0

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    """Answers an event of CloudFormation's custom resource; on any other, such as `{}`, migrates and tells to what."""
    if "ResponseURL" not in event:
        return _migrate()
    seconds_max = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    custom_resource.serve(event, seconds_max, _provide)
    return None


def _provide(event: dict[str, Any]) -> dict[str, str]:
    """Create and Update bring the schema to the template's revision; Delete leaves payments where they are."""
    if event["RequestType"] == "Delete":
        return {}
    for _ in range(TRIES - 1):
        try:
            return _migrate(event["ResourceProperties"]["Revision"])
        except Unavailable as error:
            log.warning("not yet", extra={"reason": str(error)})
            time.sleep(PAUSE_SECONDS)
    return _migrate(event["ResourceProperties"]["Revision"])


def _migrate(revision: str | None = None) -> dict[str, str]:
    _prepare_role()
    migrated = migrate_schema(wiring.database(STATEMENT_SECONDS_MAX), revision)
    log.info("migrated", extra={"before": migrated.before, "revision": migrated.revision})
    return {"Revision": migrated.revision}


def _prepare_role() -> None:
    """Makes the functions' role by the administrator's login, where there is one: RDS begins with nothing else."""
    settings = wiring.environment()
    secret_id = settings.text("DATABASE_ADMIN_SECRET_ID", "")
    if secret_id in {"", settings.text("DATABASE_SECRET_ID")}:
        return
    role, password = wiring.database_login()
    with closing(wiring.database_of(secret_id)) as admin:
        prepared = prepare_role(admin, wiring.database(STATEMENT_SECONDS_MAX), role, password)
    done = {"role": role, "role_created": prepared.created, "password_set": prepared.password_set}
    log.info("prepared the role", extra=done)
