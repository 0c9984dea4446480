"""The part of the composition root for fraud rules."""

from __future__ import annotations

from paybridge import wiring
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.fraud.ports import FraudServices
from paybridge.payments.answer_reviews import ReviewServices
from paybridge.payments.store.history import StoredHistory


def services_over(database: Database, clock: Clock, ids: Ids) -> FraudServices:
    """Return what the use cases need, over these adapters."""
    return FraudServices(database, clock, ids, StoredHistory())


def services() -> FraudServices:
    """Return what the use cases need. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return services_over(wiring.database(), wiring.clock(), wiring.ids())


def review_services() -> ReviewServices:
    """Return what answering reviews needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return ReviewServices(wiring.database(), wiring.clock(), wiring.ids())


def expiry_answer() -> ReviewAnswer:
    """Return the answer to a review that expires. Raises SettingsInvalid."""
    decision = wiring.environment().REVIEW_EXPIRY_DECISION
    return ReviewAnswer.APPROVED if decision == "approve" else ReviewAnswer.REJECTED
