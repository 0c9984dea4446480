"""The schema's history, applied by Alembic.

Every revision says in its docstring whether it runs before or after the deploy of the code that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paybridge.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"


def migrate(database: Database, revision: str = "head") -> None:
    """Brings the schema to `revision`, in one transaction; does nothing when it is there already.

    Two at once are safe: an advisory lock makes the second wait and then find nothing to do.
    Raises DatabaseUnavailable.
    """
    from alembic import command

    with database.transaction() as transaction:
        command.upgrade(_configuration(transaction), revision)


def _configuration(transaction: object) -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["transaction"] = transaction
    return configuration
