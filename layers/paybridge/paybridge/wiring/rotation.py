"""The part of the composition root that only the rotate function needs."""

from __future__ import annotations

from paybridge import wiring
from paybridge.core.errors import RotationRefused
from paybridge.database.database import Database
from paybridge.secrets.broker_users import BrokerUsers
from paybridge.secrets.database_role import DatabaseRole
from paybridge.secrets.passwords import new_password
from paybridge.secrets.ports import Login, RotatedLogin
from paybridge.secrets.rotate import Rotation
from paybridge.secrets.secrets_manager import AwsSecretVersions
from paybridge.wiring.settings import BROKER_LOGIN, DATABASE_LOGIN, SecretReader, broker_url_with, login_address


def rotation(secret_id: str) -> Rotation:
    """All that rotating the secret with this ARN needs; raises RotationRefused unless it is one of the functions'."""
    return Rotation(AwsSecretVersions(secret_id), _login_in(secret_id), new_password)


def _login_in(secret_id: str) -> RotatedLogin:
    # Which of the two it is, is told by the secret itself and not by what is in it.
    if secret_id == wiring.environment().text(DATABASE_LOGIN):
        return DatabaseRole(_open_database)
    if secret_id == wiring.environment().text(BROKER_LOGIN):
        return BrokerUsers(wiring.environment().text("BROKER_MANAGEMENT_URL"), _broker_admin(), _broker_url)
    raise RotationRefused(f"The secret {secret_id} is none of DATABASE_SECRET_ID and BROKER_SECRET_ID.")


def _broker_admin() -> Login:
    # Read anew for each step: the administrator's password is changed by hand, and nobody restarts this function then.
    secret = SecretReader().read(wiring.environment().text("BROKER_ADMIN_SECRET_ID"))
    return Login(secret["username"], secret["password"])


def _open_database(login: Login) -> Database:
    return Database(login_address(wiring.environment(), _as_secret(login)), "paybridge-rotate")


def _broker_url(login: Login) -> str:
    return broker_url_with(wiring.environment(), _as_secret(login))


def _as_secret(login: Login) -> dict[str, str]:
    return {"username": login.username, "password": login.password}
