"""What the server said with an error, and which error of ours it is."""

from __future__ import annotations

from paybridge.core.errors import (
    ConstraintViolated,
    DatabaseUnavailable,
    LockTimeout,
    PaybridgeError,
    QueryFailed,
    StatementCancelled,
)

# lock_timeout, a deadlock, and a row that moved or changed under a transaction that needs it as it was.
LOCK_SQLSTATES = ("55P03", "40P01", "40001")
# Faults of the whole database or of this connection, which no message is to blame for: lost connections, a server that
# is shutting down, read-only after a failover, out of space or broken, the idle limit, and prepared statements that the
# server no longer knows or can no longer use. A new connection may cure each.
_UNAVAILABLE_SQLSTATES = ("08", "57P", "25P03", "25006", "26000", "0A000", "53", "58", "XX")
# By statement_timeout, or by an administrator.
_CANCELLED_SQLSTATE = "57014"
# A wrong password, and everything else that makes the server refuse a login: the role is gone or may not log in.
_REFUSED_SQLSTATES = frozenset({"28P01", "28000"})
_CONSTRAINT_CLASS = "23"


def server_fields(error: BaseException) -> dict[str, str]:
    """Return the fields of the server's error message by their one-letter codes.

    Empty if the error is not the server's.
    """
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def is_refused_login(error: BaseException) -> bool:
    """Tell whether the server refused a login with this error."""
    return server_fields(error).get("C") in _REFUSED_SQLSTATES


def translated(error: BaseException) -> PaybridgeError:
    """Return our error for one of pg8000's or of the socket. After DatabaseUnavailable the connection is of no use."""
    fields = server_fields(error)
    sqlstate = fields.get("C", "")
    message = fields.get("M", str(error))
    if sqlstate == _CANCELLED_SQLSTATE:
        return StatementCancelled(f"The database cancelled a statement: {message}")
    if not sqlstate or sqlstate.startswith(_UNAVAILABLE_SQLSTATES):
        return DatabaseUnavailable(f"The database is down: {message}")
    if sqlstate in LOCK_SQLSTATES:
        return LockTimeout(message, fields.get("W", ""))
    if sqlstate.startswith(_CONSTRAINT_CLASS):
        return ConstraintViolated(str(fields.get("n", "")), message, str(fields.get("t", "")))
    return QueryFailed(sqlstate, message)
