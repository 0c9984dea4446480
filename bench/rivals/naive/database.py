"""The engine of the naive rival."""

from __future__ import annotations

import os

from sqlalchemy import Engine, create_engine


def engine_of(url: str = "", connections_max: int = 5) -> Engine:
    """Return the ORM's engine over pg8000 for `postgresql://…`, by default for DATABASE_URL."""
    url = url or os.environ["DATABASE_URL"]
    return create_engine(url.replace("postgresql://", "postgresql+pg8000://", 1), pool_size=connections_max)
