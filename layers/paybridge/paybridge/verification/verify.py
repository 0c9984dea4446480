"""Check every invariant, each with one finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from paybridge.core.errors import PaybridgeError, Unavailable, reason_of
from paybridge.core.findings import Finding
from paybridge.ledger import verify as books
from paybridge.ledger.ports import RebuildServices
from paybridge.payments.verify_amounts import verify_amounts

# Takes True to check everything, and False for only the newest where there is much.
Check = Callable[[bool], Finding]


@dataclass(frozen=True, slots=True)
class NamedFinding:
    """The finding of one check."""

    check: str
    finding: Finding


def checks_of(services: RebuildServices, others: Mapping[str, Check] | None = None) -> dict[str, Check]:
    """Return all checks by name, in their order. `others` are those that only some callers can make."""
    found: dict[str, Check] = {name: partial(check, services) for name, check in books.CHECKS.items()}
    found["payments_equal_events"] = lambda full: verify_amounts(services.database, full=full)
    return found | dict(others or {})


def verify(checks: Mapping[str, Check], *, full: bool = False) -> Iterator[NamedFinding]:
    """Yield the finding of every check. One that cannot be made is a finding as well.

    Raises DatabaseUnavailable and other Unavailable.
    """
    for name, check in checks.items():
        try:
            yield NamedFinding(name, check(full))
        except Unavailable:
            raise
        except PaybridgeError as error:
            yield NamedFinding(name, Finding(False, 0, f"cannot be checked: {reason_of(error)}"))
