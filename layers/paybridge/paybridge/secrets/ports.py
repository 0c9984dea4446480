"""What a rotation needs: a secret's versions, and a login that it can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

# The stages of a secret's versions: what is in use, and what a rotation is about to bring into use.
CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the database or of the broker, with a password that no log shows."""

    username: str
    password: str = field(repr=False)


class SecretVersions(Protocol):
    """The versions of one secret that holds a login; every method raises SecretUnavailable without an answer."""

    def stages(self) -> Mapping[str, list[str]]:
        """The stages of each version by its id; raises RotationRefused when the secret does not rotate."""
        ...

    def login_of(self, version: str) -> Login | None:
        """The login in the version; None when there is none yet."""
        ...

    def keep_pending(self, version: str, login: Login) -> None:
        """Keeps the login in the version, at PENDING."""
        ...

    def make_current(self, version: str) -> None:
        """Moves CURRENT to the version, which is another's so far."""
        ...


class RotatedLogin(Protocol):
    """A login whose password a rotation changes. Its methods raise Unavailable, and may be called again at any time."""

    def next_username(self, username: str) -> str:
        """The user of the next version, when `username` is that of the current one."""
        ...

    def change(self, current: Login, pending: Login) -> None:
        """Makes the pending login work."""
        ...

    def test(self, login: Login) -> None:
        """Returns when the login works."""
        ...
