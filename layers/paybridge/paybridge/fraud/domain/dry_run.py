"""A dry run: what a rule set would have decided about past payments, worked on in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time, shift
from paybridge.fraud.domain.rules import ScreenedPayment, Screening, Verdict, Window

# Payments shown for each decision other than allow.
SAMPLES_MAX = 20
# Below every id.
NO_ID = UUID(int=0)


class DryRunState(StrEnum):
    """The state of a dry run."""

    RUNNING = "running"
    FINISHED = "finished"
    # A later dry run of the merchant took its place, or it was not finished in time.
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A dry run and its progress.

    Payments created from `counted_from` on and before `begin_at` are counted for velocities and not decided about:
    `warm_up` of them are to be read. `read` counts the payments read so far, of both kinds. The last one has the id
    `position` and was counted at `position_at`.
    """

    id: UUID
    merchant_id: UUID
    rules: list[dict[str, Any]]
    counted_from: datetime
    begin_at: datetime
    end_at: datetime
    state: DryRunState
    created_at: datetime
    warm_up: int
    total: int
    read: int = 0
    checked: int = 0
    position: UUID = NO_ID
    position_at: datetime | None = None
    decisions: Mapping[str, int] = field(default_factory=dict)
    fired: Mapping[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    finished_at: datetime | None = None

    def view(self) -> dict[str, Any]:
        """Return the dry run as merchants see it, JSON-ready."""
        return {
            "dry_run_id": str(self.id),
            "state": str(self.state),
            "from": format_time(self.begin_at),
            "to": format_time(self.end_at),
            "progress": self.progress,
            "checked": self.checked,
            "total": self.total,
            "decisions": {str(action): self.decisions.get(action, 0) for action in Verdict},
            "rules": {rule["id"]: self.fired.get(rule["id"], 0) for rule in self.rules},
            "samples": self.samples,
            "created_at": format_time(self.created_at),
            "finished_at": None if self.finished_at is None else format_time(self.finished_at),
        }

    @property
    def progress(self) -> float:
        """Return which part of the payments has been read, from 0 to 1."""
        if self.state is DryRunState.FINISHED:
            return 1.0
        return round(min(self.read / max(self.warm_up + self.total, 1), 1.0), 4)


def counted_from(begin_at: datetime, windows: Iterable[Window]) -> datetime:
    """Return from when on payments count for the velocities of those created at `begin_at`."""
    return shift(begin_at, -timedelta(seconds=max((window.seconds for window in windows), default=0)))


def in_order_of_time(candidates: Iterable[ScreenedPayment], position_at: datetime | None) -> list[ScreenedPayment]:
    """Return the candidates with times that never fall. Ids and times are made moments apart, in either order."""
    ordered = []
    for candidate in candidates:
        position_at = candidate.at if position_at is None else max(position_at, candidate.at)
        ordered.append(replace(candidate, at=position_at))
    return ordered


def after_slice(
    dry_run: DryRun,
    read: list[ScreenedPayment],
    decided: Iterable[tuple[ScreenedPayment, Screening]],
    *,
    is_last: bool,
    now: datetime,
) -> DryRun:
    """Return the dry run after one more slice of payments, those of `read`, of which some were decided about."""
    decisions, fired = Counter(dry_run.decisions), Counter(dry_run.fired)
    samples, shown = list(dry_run.samples), Counter(sample["decision"] for sample in dry_run.samples)
    checked = dry_run.checked
    for candidate, screening in decided:
        checked += 1
        decisions[str(screening.decision)] += 1
        fired.update(screening.rules)
        if screening.decision is not Verdict.ALLOW and shown[str(screening.decision)] < SAMPLES_MAX:
            shown[str(screening.decision)] += 1
            samples.append({"payment_id": str(candidate.payment_id), **screening.view()})
    after = replace(
        dry_run,
        read=dry_run.read + len(read),
        checked=checked,
        decisions=dict(decisions),
        fired=dict(fired),
        samples=samples,
    )
    if read:
        after = replace(after, position=read[-1].payment_id, position_at=read[-1].at)
    # What was counted at first may differ from what was read, if payments were archived in the meantime.
    return replace(after, state=DryRunState.FINISHED, finished_at=now, total=checked) if is_last else after
