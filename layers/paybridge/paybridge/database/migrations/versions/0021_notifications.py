"""Change nothing. The table of notifications comes with 0022.

It runs before the deploy. Environments that have this revision keep it, so it stays as it was deployed.
"""

from __future__ import annotations

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing."""
