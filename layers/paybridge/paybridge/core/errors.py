"""Every error that Paybridge raises on purpose.

PaybridgeError
├── InvalidInput            the caller's fault; `code` is stable and public
├── Unavailable             a part we need is away; the same request may succeed later
│   ├── DatabaseUnavailable
│   │   └── DatabaseLoginRefused
│   ├── BrokerUnavailable
│   │   └── BrokerLoginRefused
│   └── SecretUnavailable
├── SettingsInvalid         a setting or a secret is missing or malformed; the message names it
├── QueueMissing            the broker lacks a queue of the topology
├── RotationRefused         a secret, a version or a login that is not to be rotated, with what to change
├── LockTimeout             another transaction holds the row for longer than we wait
├── ConstraintViolated      the database refused what the rules of the domain should have refused before
├── QueryFailed             the database refused a statement, for itself or for the data in it
├── IllegalTransition       a payment was asked to go where its status does not lead
└── MalformedMessage        a message from the broker that no retry will ever mend
"""


class PaybridgeError(Exception):
    """Something in Paybridge failed."""


class InvalidInput(PaybridgeError):
    """The input breaks a rule that its sender can read and mend.

    `code` is the stable, public name of the rule; `field` the path of the offending member, if one can be named.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field


class Unavailable(PaybridgeError):
    """A part that this work needs is away."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or is shutting down."""


class DatabaseLoginRefused(DatabaseUnavailable):
    """The database answers, and does not know the role, or not by this password."""


class BrokerUnavailable(Unavailable):
    """The message broker cannot be reached or did not answer before the deadline."""


class BrokerLoginRefused(BrokerUnavailable):
    """The broker answers, and does not know the user, or not by this password."""


class SettingsInvalid(PaybridgeError):
    """A setting or a secret is missing or malformed; the message names it."""


class QueueMissing(PaybridgeError):
    """The broker lacks a queue of the topology; the message names it."""


class SecretUnavailable(Unavailable):
    """Secrets Manager does not hand out or keep a secret; the message names it."""


class RotationRefused(PaybridgeError):
    """The secret, its version or its login is not one to rotate; the message says what to change."""


class LockTimeout(PaybridgeError):
    """Another transaction holds the row."""


class ConstraintViolated(PaybridgeError):
    """A constraint of the database refused the change; `constraint` is its name."""

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class QueryFailed(PaybridgeError):
    """The database refused the statement, for itself or for the data in it; `sqlstate` says which."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate


class IllegalTransition(PaybridgeError):
    """The payment cannot go from its status to the one asked for."""


class MalformedMessage(PaybridgeError):
    """The message cannot be understood, now or on any later delivery."""
