"""The schema's history, applied by Alembic.

Every revision says in its docstring whether it runs before or after the deploy of the code that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paybridge.core.errors import DatabaseUnavailable, LockTimeout, QueryFailed
from paybridge.database.database import Database
from paybridge.database.errors import LOCK_SQLSTATES, server_fields

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

HEAD = "0031"


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction; do nothing if it is there already.

    Two migrations at once are safe: an advisory lock makes the second wait, and then it has nothing to do.
    Raises DatabaseUnavailable, LockTimeout or QueryFailed; nothing has changed then.
    """
    from alembic import command
    from sqlalchemy.exc import DBAPIError

    try:
        with database.transaction() as transaction:
            command.upgrade(_configuration(transaction), revision)
    except DBAPIError as error:
        raise _refusal(error) from error


def _refusal(error: DBAPIError) -> Exception:
    """Return what the server said of a migration, without the detail, which repeats values of rows."""
    said = server_fields(error.orig or error)
    if not said:
        return DatabaseUnavailable("The connection was lost during the migration.")
    if said.get("C") in LOCK_SQLSTATES:
        return LockTimeout(str(said.get("M")))
    return QueryFailed(str(said.get("C")), str(said.get("M")))


def _configuration(transaction: object) -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["transaction"] = transaction
    return configuration
