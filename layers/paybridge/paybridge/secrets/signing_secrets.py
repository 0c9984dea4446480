"""The secrets with which gateways sign their notices: read once per environment, and again when none of them fits."""

from __future__ import annotations

import time
from collections.abc import Callable

from paybridge.secrets.secrets_manager import SecretsManager

# Anybody may send us notices with wrong signatures. Secrets Manager is asked about them this often at most.
READ_AGAIN_SECONDS_MIN = 30.0


class SigningSecrets:
    """The signing secrets in one secret of Secrets Manager, separated by white space: several while they rotate.

    They are its whole text, or the `member` of its JSON. `monotonic` is a clock in seconds.
    """

    def __init__(
        self, secret_id: str, monotonic: Callable[[], float] = time.monotonic, member: str | None = None
    ) -> None:
        self._secret_id = secret_id
        self._member = member
        self._monotonic = monotonic
        self._secrets = SecretsManager()
        self._kept: tuple[str, ...] = ()
        self._read_at = 0.0

    def kept(self) -> tuple[str, ...]:
        """Return the secrets that were last read. Raises SettingsInvalid and SecretUnavailable."""
        return self._kept or self._read()

    def changed(self) -> tuple[str, ...]:
        """Return the secrets if they are others than those kept, nothing if not or if they were read just now.

        Raises SettingsInvalid and SecretUnavailable.
        """
        kept = self._kept
        if kept and self._monotonic() - self._read_at < READ_AGAIN_SECONDS_MIN:
            return ()
        return () if self._read() == kept else self._kept

    def _read(self) -> tuple[str, ...]:
        self._read_at = self._monotonic()
        text = (
            self._secrets.read_text(self._secret_id)
            if self._member is None
            else self._secrets.read_member(self._secret_id, self._member)
        )
        self._kept = tuple(text.split())
        return self._kept
