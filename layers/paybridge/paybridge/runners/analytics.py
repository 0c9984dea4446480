"""Bring the figures of days up to date, among the long jobs."""

from __future__ import annotations

import time
from collections.abc import Callable

from paybridge.analytics.update import update_analytics
from paybridge.observability.logging import logger
from paybridge.wiring import analytics

# What has come within so long is taken over at once, because days are computed whole.
REST_SECONDS = 10.0

log = logger()


class AnalyticsJob:
    """Brings the figures of days up to date, and then rests."""

    __name__ = "update_analytics"

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rests_until = monotonic()

    def __call__(self, seconds_max: float) -> dict[str, int]:
        """Work for at most so many seconds. Raises DatabaseUnavailable."""
        if self._monotonic() < self._rests_until:
            return {}
        updated = update_analytics(analytics.services(), seconds_max)
        if updated.late_days:
            log.warning("events about closed months are not in their figures", extra={"days": updated.late_days})
        if updated.is_up_to_date:
            self._rests_until = self._monotonic() + REST_SECONDS
        return {
            "analytics_events": updated.events,
            "analytics_deliveries": updated.deliveries,
            "analytics_days": updated.days,
            "analytics_deleted": updated.deleted,
        }
