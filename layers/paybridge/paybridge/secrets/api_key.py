"""The key of an API that we call: read once per environment, and again when the API refuses it."""

from __future__ import annotations

from paybridge.secrets.secrets_manager import SecretsManager

MEMBER = "api_key"


class ApiKeyReader:
    """The member `api_key` in the JSON of one secret. Its methods raise SettingsInvalid and SecretUnavailable."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id
        self._secrets = SecretsManager()
        self._kept: str | None = None

    def read(self) -> str:
        """Return the key that was last read."""
        return self._kept or self.read_again()

    def read_again(self) -> str:
        """Return the key that the secret holds now."""
        self._kept = self._secrets.read_member(self._secret_id, MEMBER)
        return self._kept
