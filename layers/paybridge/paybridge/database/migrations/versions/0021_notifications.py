"""E-mails and SMS to merchants. Runs before the deploy."""

from __future__ import annotations

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing yet."""
