"""Alembic's entry: runs the revisions inside the transaction that `migrate` opened."""

from alembic import context
from sqlalchemy import text

# Any number will do as long as nobody else locks it: this one spells "payb" in ASCII.
MIGRATION_LOCK = 0x70617962

transaction = context.config.attributes["transaction"]
transaction.connection().execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
context.configure(connection=transaction.connection(), transactional_ddl=False)
context.run_migrations()
