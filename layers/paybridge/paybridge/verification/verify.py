"""Check every invariant, each with one finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from paybridge.core.errors import PaybridgeError, StatementCancelled, Unavailable, reason_of
from paybridge.core.findings import Finding
from paybridge.ledger import verify as books
from paybridge.ledger.ports import RebuildServices
from paybridge.payments.verify_amounts import verify_amounts

# Takes True to check everything, and False for only the newest where there is much.
Check = Callable[[bool], Finding]

NO_TIME = "not checked: the time was over. Ask for this check alone"


@dataclass(frozen=True, slots=True)
class NamedFinding:
    """The finding of one check."""

    check: str
    finding: Finding

    def view(self) -> dict[str, Any]:
        """Return the finding as operators see it, JSON-ready."""
        return self.finding.view(self.check)


def checks_of(services: RebuildServices, others: Mapping[str, Check] | None = None) -> dict[str, Check]:
    """Return all checks by name, in their order. `others` are those that other rooms and only some callers can make."""
    found: dict[str, Check] = {name: partial(check, services) for name, check in books.CHECKS.items()}
    found["payments_equal_events"] = lambda full: verify_amounts(services.database, full=full)
    return found | dict(others or {})


def verify(
    checks: Mapping[str, Check],
    *,
    full: bool = False,
    seconds_max: float | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[NamedFinding]:
    """Yield the finding of every check. One that cannot be made is a finding as well.

    After `seconds_max` no further check begins: the rest are not checked, and say so. So does one of which a statement
    takes too long. Raises DatabaseUnavailable and other Unavailable.
    """
    ends_at = None if seconds_max is None else monotonic() + seconds_max
    for name, check in checks.items():
        if ends_at is not None and monotonic() >= ends_at:
            yield NamedFinding(name, Finding(None, 0, NO_TIME))
            continue
        try:
            finding = check(full)
        except StatementCancelled as error:
            finding = Finding(None, 0, f"not checked: {reason_of(error)}")
        except Unavailable:
            raise
        except PaybridgeError as error:
            finding = Finding(False, 0, f"cannot be checked: {reason_of(error)}")
        yield NamedFinding(name, finding)


def all_hold(findings: Iterable[NamedFinding]) -> bool | None:
    """Tell whether every invariant holds: False if one does not, None if none fails and one could not be checked."""
    held = {named.finding.holds for named in findings}
    return False if False in held else None if None in held else True
