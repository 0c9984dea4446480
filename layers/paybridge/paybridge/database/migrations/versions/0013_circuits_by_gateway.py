"""Circuits of several gateways and of merchants at each of them. Runs before the deploy.

Older code writes only the names of the gateway `default`, which stay as they are.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CIRCUITS = """
ALTER TABLE circuits
    DROP CONSTRAINT circuits_names_a_source,
    ADD CONSTRAINT circuits_names_a_source CHECK (
        name ~ '^gateway(/[a-z][a-z0-9_]{0,31})?$'
        OR name ~ '^(gateway/[a-z][a-z0-9_]{0,31}/)?merchant/[0-9a-f-]{36}(/|$)');
"""


def upgrade() -> None:
    """Let the constraint know the names of other gateways."""
    op.get_bind().exec_driver_sql(CIRCUITS)
