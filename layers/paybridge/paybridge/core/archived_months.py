"""Refuse what would read facts whose months are in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AwayMonth:
    """A month, such as 2025-01, whose facts are in the archive, or are on their way there."""

    text: str
    is_leaving: bool = False


class MonthsArchived(Exception):
    """The facts of `months` are in the archive, or on their way there. The message says what to do about each kind."""

    def __init__(self, months: Sequence[AwayMonth]) -> None:
        leaving = [month.text for month in months if month.is_leaving]
        archived = [month.text for month in months if not month.is_leaving]
        super().__init__(" ".join(_advice_of_archived(archived) + _advice_of_leaving(leaving)))
        self.months = months


def _advice_of_archived(months: Sequence[str]) -> list[str]:
    if not months:
        return []
    others = "" if len(months) == 1 else ", and the others,"
    order = f"Order `paybridge archive restore {months[0]}`{others} and begin once they are restored."
    return [f"The facts of {_which(months)} are archived. {order}"]


def _advice_of_leaving(months: Sequence[str]) -> list[str]:
    """Say when to try again: what is being archived can only be restored once it is archived."""
    return [f"The facts of {_which(months)} are being archived. Try again once they are."] if months else []


def _which(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{len(months)} months from {months[0]} to {months[-1]}"
