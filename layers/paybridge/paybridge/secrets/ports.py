"""What a rotation needs: the versions of a secret, and a login that it can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

# The stages of a secret's versions: the one in use, and the one that a rotation is preparing.
CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the database or of the broker, with a password that no log shows."""

    username: str
    password: str = field(repr=False)


class SecretVersions(Protocol):
    """The versions of one secret that holds a login. Every method raises SecretUnavailable if there is no answer."""

    def stages(self) -> Mapping[str, list[str]]:
        """Return the stages of each version by its id. Raises RotationRefused if the secret does not rotate."""
        ...

    def login_of(self, version: str) -> Login | None:
        """Return the login in the version, None if it is empty."""
        ...

    def keep_pending(self, version: str, login: Login) -> None:
        """Keep the login in the version, at PENDING."""
        ...

    def make_current(self, version: str) -> None:
        """Move CURRENT to the version."""
        ...


class RotatedLogin(Protocol):
    """A login whose password a rotation changes. Its methods raise Unavailable and may be repeated at any time."""

    def next_username(self, username: str) -> str:
        """Return the user of the next version, given that of the current one."""
        ...

    def change(self, current: Login, pending: Login) -> None:
        """Make the pending login work."""
        ...

    def test(self, login: Login) -> None:
        """Return if the login works. Raises Unavailable if it does not."""
        ...
