"""Refuse what would read facts whose months are in the archive."""

from __future__ import annotations

from collections.abc import Sequence


class MonthsArchived(Exception):
    """The facts of `months`, such as 2025-01, are in the archive, or are about to go there."""

    def __init__(self, months: Sequence[str]) -> None:
        first = months[0]
        which = first if len(months) == 1 else f"{len(months)} months from {first} to {months[-1]}"
        super().__init__(
            f"The facts of {which} are archived. Order `paybridge archive restore {first}`"
            f"{'' if len(months) == 1 else ', and the others,'} and begin once they are restored."
        )
        self.months = months
