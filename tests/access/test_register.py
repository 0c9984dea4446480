"""Registering merchants and operators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.api import principal_of
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.register import register_merchant
from paybridge.core.errors import InvalidInput
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
_MERCHANTS = Statement("SELECT count(*) FROM merchants")


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    """A migrated database."""
    with closing(Database(database_address)) as connection:
        yield connection


class TestRegisterMerchant:
    def test_the_key_leads_to_the_merchant(self, database: Database) -> None:
        merchant_id = register_merchant(database, name="Shop", api_key="key-1", webhook_secret=SECRET)
        assert principal_of(database, "key-1") == Principal(Role.MERCHANT, merchant_id)

    def test_registering_again_changes_nothing(self, database: Database) -> None:
        first = register_merchant(database, name="Shop", api_key="key-2", webhook_secret=SECRET)
        [[count]] = database.run(_MERCHANTS)
        assert register_merchant(database, name="Renamed", api_key="key-2", webhook_secret=SECRET) == first
        assert database.run(_MERCHANTS) == [[count]]

    def test_concurrent_registrations_create_one_merchant(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        made = []

        def register() -> None:
            with closing(Database(database_address)) as connection:
                made.append(register_merchant(connection, name="Shop", api_key="key-3", webhook_secret=SECRET))

        threads = [threading.Thread(target=register) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 8
        assert len(set(made)) == 1

    def test_an_operator_has_no_merchant(self, database: Database) -> None:
        assert register_merchant(database, name="Ops", api_key="key-4", role="operator") is None
        assert principal_of(database, "key-4") == Principal(Role.OPERATOR, None)

    def test_a_merchant_needs_a_webhook_secret(self, database: Database) -> None:
        with pytest.raises(InvalidInput):
            register_merchant(database, name="Shop", api_key="key-5")
        assert principal_of(database, "key-5") is None

    def test_the_key_itself_is_not_stored(self, database: Database) -> None:
        register_merchant(database, name="Shop", api_key="key-to-look-for", webhook_secret=SECRET)
        dump = Statement("SELECT row_to_json(k)::text || row_to_json(m)::text FROM api_keys k, merchants m")
        assert "key-to-look-for" not in str(database.run(dump))
