"""Logins from their secrets: read once per environment, and again whenever a login is refused."""

from __future__ import annotations

from collections.abc import Iterator

from paybridge.core.errors import SecretUnavailable
from paybridge.secrets.ports import CURRENT, PENDING, Login
from paybridge.secrets.secrets_manager import SecretsManager


class LoginReader:
    """Reads logins from Secrets Manager and keeps the last one of each secret."""

    def __init__(self) -> None:
        self._secrets = SecretsManager()
        self._cache: dict[str, Login] = {}

    def read(self, secret_id: str) -> Login:
        """Return the login that was last read from the secret.

        Raises SettingsInvalid if the secret holds no login, SecretUnavailable if Secrets Manager does not answer.
        """
        if secret_id not in self._cache:
            self._cache[secret_id] = self._fetch(secret_id, CURRENT)
        return self._cache[secret_id]

    def read_again(self, secret_id: str) -> Iterator[Login]:
        """Return the current login, then that of a rotation in progress. `read` returns the last one from now on.

        Raises SettingsInvalid and SecretUnavailable as `read` does.
        """
        current = self._cache[secret_id] = self._fetch(secret_id, CURRENT)
        yield current
        try:
            pending = self._fetch(secret_id, PENDING)
        except SecretUnavailable:
            return  # No rotation is in progress: the refusal stands.
        if pending != current:
            self._cache[secret_id] = pending
            yield pending

    def _fetch(self, secret_id: str, stage: str) -> Login:
        return self._secrets.read_login(secret_id, stage)
