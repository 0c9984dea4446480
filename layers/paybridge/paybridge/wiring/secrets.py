"""The part of the composition root that rotates secrets and prepares the functions' role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paybridge import wiring
from paybridge.core.errors import RotationRefused
from paybridge.database.database import Database
from paybridge.secrets.broker_users import BrokerUsers
from paybridge.secrets.database_role import DatabaseRole
from paybridge.secrets.passwords import new_password
from paybridge.secrets.ports import CURRENT, Login, RotatedLogin
from paybridge.secrets.rotate import Rotation
from paybridge.secrets.secrets_manager import AwsSecretVersions, SecretsManager
from paybridge.wiring import addresses


def rotation(secret_id: str) -> Rotation:
    """Return what rotating the secret with this ARN needs. Raises RotationRefused if the functions do not use it."""
    return Rotation(AwsSecretVersions(secret_id), _login_in(secret_id), new_password)


def database_login() -> Login:
    """Return the login of the functions to the database."""
    return wiring.logins().read(wiring.environment().DATABASE_SECRET_ID)


@contextmanager
def administered_database() -> Iterator[Database | None]:
    """Open the database as its administrator. None if the functions log in as the administrator themselves."""
    settings = wiring.environment()
    if settings.DATABASE_ADMIN_SECRET_ID in {"", settings.DATABASE_SECRET_ID}:
        yield None
        return
    database = wiring.open_database(settings.DATABASE_ADMIN_SECRET_ID, "paybridge-admin")
    try:
        yield database
    finally:
        database.close()


def _login_in(secret_id: str) -> RotatedLogin:
    settings = wiring.environment()
    # Decide by the secret's ARN, not its contents.
    if secret_id == settings.DATABASE_SECRET_ID:
        return DatabaseRole(_open_database)
    if secret_id == settings.BROKER_SECRET_ID:
        return BrokerUsers(settings.BROKER_MANAGEMENT_URL, _broker_admin(), _broker_url)
    raise RotationRefused(f"The secret {secret_id} is none of DATABASE_SECRET_ID and BROKER_SECRET_ID.")


def _broker_admin() -> Login:
    # Read for each step: the administrator's password is changed by hand, and no one restarts this function then.
    return SecretsManager().read_login(wiring.environment().BROKER_ADMIN_SECRET_ID, CURRENT)


def _open_database(login: Login) -> Database:
    return Database(addresses.database_address(wiring.environment(), login), "paybridge-rotate")


def _broker_url(login: Login) -> str:
    return addresses.broker_url(wiring.environment(), login)
