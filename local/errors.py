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
    """A port of the stack is held by another program."""

    def __init__(self, port: int, user: str, variable: str) -> None:
        super().__init__(f"Port {port} for {user} is taken: free it, or set {variable} to another port.")


class ServerDiedError(LocalError):
    """A process of the stack ended by itself."""


class NotReadyError(LocalError):
    """A process of the stack did not become ready in time."""


class MissingToolError(LocalError):
    """A program that the stack needs is not there and cannot be brought."""
