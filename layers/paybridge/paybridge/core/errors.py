"""Every error that Paybridge raises on purpose.

PaybridgeError
├── InvalidInput            the caller broke a rule; `code` is stable and public
├── Unavailable             something we depend on is down; the same request may succeed later
│   ├── DatabaseUnavailable
│   │   ├── DatabaseLoginRefused
│   │   └── StatementCancelled
│   ├── BrokerUnavailable
│   │   └── BrokerLoginRefused
│   ├── SecretUnavailable
│   ├── KeysUnavailable     the keys that tokens are signed with
│   ├── LimiterUnavailable  what counts the requests of callers
│   └── LockTimeout         another transaction held the row or the table for too long, or one of two had to give way
├── SettingsInvalid         a setting or a secret is missing or malformed; the message names it
├── QueueMissing            the broker lacks a queue of the topology
├── RotationRefused         a secret, version or login that must not be rotated; the message says what to change
├── ConstraintViolated      the database refused a change that the domain should have refused
├── QueryFailed             the database refused a statement or the data in it
├── IllegalTransition       a payment cannot go from its status to the one asked for
└── MalformedMessage        a message from the broker that no retry can mend
"""

from __future__ import annotations


class PaybridgeError(Exception):
    """The root of all errors that Paybridge raises on purpose."""


class InvalidInput(PaybridgeError):
    """The input breaks a rule that its sender can read and follow.

    `code` is the stable, public name of the rule; `field` the path of the offending member, if one can be named.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


class Unavailable(PaybridgeError):
    """Something that this work depends on is down."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or is shutting down."""


class DatabaseLoginRefused(DatabaseUnavailable):
    """The database refuses the role or its password."""


class StatementCancelled(DatabaseUnavailable):
    """The database answers, and cancelled a statement: it took too long, or an administrator did it."""


class BrokerUnavailable(Unavailable):
    """The message broker cannot be reached or did not answer before the deadline."""


class BrokerLoginRefused(BrokerUnavailable):
    """The broker refuses the user or its password."""


class SettingsInvalid(PaybridgeError):
    """A setting or a secret is missing or malformed; the message names it."""


class QueueMissing(PaybridgeError):
    """The broker lacks a queue of the topology; the message names it."""


class SecretUnavailable(Unavailable):
    """Secrets Manager cannot read or store a secret; the message names it."""


class KeysUnavailable(Unavailable):
    """The keys that tokens are signed with cannot be fetched."""


class LimiterUnavailable(Unavailable):
    """What counts the requests of callers does not answer in time."""


class RotationRefused(PaybridgeError):
    """The secret, its version or its login must not be rotated; the message says what to change."""


class LockTimeout(Unavailable):
    """Another transaction held the row or the table for too long, or one of two had to give way.

    That is a deadlock or a serialization failure. The same transaction may succeed a moment later.
    """

    def __init__(self, message: str = "", where: str = "") -> None:
        super().__init__(message)
        # What the server was doing when it had to wait, in its own words; empty for the lock of a table.
        self.where = where


class ConstraintViolated(PaybridgeError):
    """A constraint of the database refused the change; `constraint` is its name, and `table` the table's."""

    def __init__(self, constraint: str, message: str, table: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint
        self.table = table


class QueryFailed(PaybridgeError):
    """The database refused the statement or the data in it; `sqlstate` says which."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate


class IllegalTransition(PaybridgeError):
    """The payment cannot go from its status to the one asked for."""


class MalformedMessage(PaybridgeError):
    """The message cannot be understood, now or on any later delivery."""


def reason_of(error: Exception) -> str:
    """Return why something failed, for a log: the text of another's error may repeat values, so only its type."""
    return str(error) if isinstance(error, PaybridgeError) else type(error).__name__
