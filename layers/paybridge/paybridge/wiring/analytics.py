"""The part of the composition root for analytics."""

from __future__ import annotations

from paybridge import wiring
from paybridge.analytics.ports import AnalyticsServices
from paybridge.archive.gone import GoneMonths
from paybridge.database.database import Database
from paybridge.database.services import ANALYTICS
from paybridge.webhooks.read_ended import EndedDeliveries


def services_over(database: Database) -> AnalyticsServices:
    """Return what the use cases need, over this database."""
    return AnalyticsServices(database, EndedDeliveries(database), GoneMonths(database))


def services() -> AnalyticsServices:
    """Return what the job needs, with the rights of analytics alone. Opens no connection.

    Raises SettingsInvalid and SecretUnavailable.
    """
    return AnalyticsServices(
        wiring.database_of(ANALYTICS), EndedDeliveries(wiring.database()), GoneMonths(wiring.database())
    )
