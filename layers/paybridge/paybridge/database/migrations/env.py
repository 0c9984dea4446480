"""Alembic's entry: run the revisions inside the transaction that `migrate` opened."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

# Any number will do that no other lock of this database uses. This one spells "payb" in ASCII.
MIGRATION_LOCK = 0x70617962

transaction = context.config.attributes["transaction"]
connection = transaction.open_sqlalchemy()
connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
context.configure(connection=connection, transactional_ddl=False)
context.run_migrations()
