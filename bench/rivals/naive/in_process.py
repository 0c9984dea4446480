"""The tutorial's application behind Mangum in this process, as ours runs in Lambda."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mangum import Mangum

from bench.rivals.naive.api import create_app
from bench.rivals.naive.database import engine_of
from bench.rivals.tables import Base
from local.testkit.api import ApiClient


@contextmanager
def naive_client(database_url: str) -> Iterator[ApiClient]:
    """Yield a client of the application, after creating the tables in its database."""
    engine = engine_of(database_url)
    Base.metadata.create_all(engine)
    try:
        yield ApiClient(Mangum(create_app(engine), lifespan="off"))
    finally:
        engine.dispose()
