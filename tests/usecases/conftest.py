"""A real database and a real gateway process for the use cases."""

from collections.abc import Iterator

import pytest

from paybridge.store.connecting import DatabaseAddress
from paybridge.store.database import Database
from tests.support.local_servers import running_gateway


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    database = Database(database_address, "tests")
    yield database
    database.close()


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "charges.jsonl") as url:
        yield url
