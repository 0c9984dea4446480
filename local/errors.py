"""What can go wrong while the offline stack works.

LocalError
 ├── PortTakenError
 ├── ServerDiedError
 ├── NotReadyError
 └── MissingToolError

Each message is the one sentence the user reads; the commands print it without a traceback and exit 1.
"""


class LocalError(Exception):
    """The offline stack cannot go on."""


class PortTakenError(LocalError):
    """A port of the stack is held by another program, or `is_lent`: by a connection that ended a moment ago."""

    def __init__(self, port: int, user: str, variable: str, *, is_lent: bool = False) -> None:
        remedy = "a connection that ended holds it for another minute, wait for that," if is_lent else "free it,"
        super().__init__(f"Port {port} for {user} is taken: {remedy} or set {variable} to another port.")


class ServerDiedError(LocalError):
    """A process of the stack ended by itself."""


class NotReadyError(LocalError):
    """A process of the stack did not become ready in time."""


class MissingToolError(LocalError):
    """A program that the stack needs is not there and cannot be brought."""
