"""The `Prefer` header of RFC 7240, of which `wait` is understood."""

from __future__ import annotations

import re
from typing import Final

WAIT_SECONDS_MAX: Final = 20

_WAIT: Final = re.compile(r'wait\s*=\s*(?:"([0-9]{1,6})"|([0-9]{1,6}))', re.IGNORECASE)


def preferred_wait_seconds(header: str | None) -> int | None:
    """How long the caller would wait, at most WAIT_SECONDS_MAX; None when nothing usable is said.

    A preference that cannot be read is ignored, as the RFC asks, and of several the first counts.
    """
    for preference in (header or "").split(","):
        match = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if match is not None:
            return min(int(match.group(1) or match.group(2)), WAIT_SECONDS_MAX)
    return None
