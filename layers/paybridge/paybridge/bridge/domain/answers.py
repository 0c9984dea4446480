"""What EventBridge says about one entry."""

from __future__ import annotations

from dataclasses import dataclass

# The reason of an entry for whose call no time was left.
OUT_OF_TIME = "NotStarted"


@dataclass(frozen=True, slots=True)
class Taken:
    """The entry is on the bus."""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The entry is not on the bus, or nothing is known. Consumers know a repeated event by its id, so it is sent again.

    `reason` is a code of AWS or the name of an error. `is_permanent`: EventBridge will never take this entry.
    """

    reason: str
    is_permanent: bool = False


Answer = Taken | NotTaken
