"""The errors of the offline stack.

LocalError
 ├── PortTakenError
 ├── ServerDiedError
 ├── NotReadyError
 └── MissingToolError

Each message is short for the user. The commands print it without a traceback and exit 1.
"""

from __future__ import annotations


class LocalError(Exception):
    """The offline stack cannot continue."""


class PortTakenError(LocalError):
    """Another program uses a port of the stack or, if `is_lent`, a connection that ended a moment ago."""

    def __init__(self, port: int, user: str, variable: str, *, is_lent: bool = False) -> None:
        reason = " by a connection that has ended: wait a minute" if is_lent else ": free it"
        super().__init__(f"Port {port} for {user} is taken{reason}, or set {variable} to another port.")


class ServerDiedError(LocalError):
    """A process of the stack ended unexpectedly."""


class NotReadyError(LocalError):
    """A process of the stack did not become ready in time."""


class MissingToolError(LocalError):
    """A program that the stack needs is not installed and cannot be downloaded."""
