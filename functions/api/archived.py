"""Answer 410 for what is archived, with the month and the place in the archive.

A payment that was not found may be archived. Its merchant and the staff learn where it is. To others it stays a 404.
What changes a payment of a month that is being archived or was restored is refused in the same words. While a month
is only being looked at, it is refused for a moment: 503.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import Request

from api.context import request_context, visible_merchant
from api.problems import Problem
from api.request.parameters import parse_id
from paybridge.core.errors import ConstraintViolated

if TYPE_CHECKING:
    from paybridge.archive.read import Location

CODE = "payment_archived"
# What refuses changes of a frozen month, and the ids in paths that say of which month.
READ_ONLY = "archived_month_is_read_only"
# Most looks are over by then.
LOOK_SECONDS = "5"
_IDS = ("payment_id", "refund_id", "delivery_id")
# What a 404 may hide, by its code: the kind of what was looked for, and where its id is.
_NOT_FOUND = {"payment_not_found": ("payment", "payment_id"), "refund_not_found": ("refund", "refund_id")}


def may_be_archived(problem: Problem) -> bool:
    """Tell whether what was not found may be in the archive."""
    return problem.code in _NOT_FOUND


def archived_or(request: Request, problem: Problem) -> Problem:
    """Return the 410 for what is archived and the caller's to see, otherwise the 404. Raises DatabaseUnavailable."""
    # A request for something that does not exist is rare.
    from paybridge.archive.read import ArchivedKind, find_archived

    kind, name = _NOT_FOUND[problem.code]
    id_ = parse_id(str(request.path_params.get(name, "")))
    if id_ is None:
        return problem
    database = request_context(request).services.database
    location = find_archived(database, ArchivedKind(kind), visible_merchant(request), id_)
    return problem if location is None else _archived(location, _DETAIL)


def read_only_or(request: Request, error: ConstraintViolated) -> Exception:
    """Return the 410 for a change of an archived month, or the 503 if the month may stay, otherwise the error as it is.

    Raises DatabaseUnavailable.
    """
    if error.constraint != READ_ONLY:
        return error
    from paybridge.archive.read import location_of, may_change_soon

    if may_change_soon(request_context(request).services.database, error.table):
        return Problem(503, "service_unavailable", _LOOKED_AT_DETAIL, headers={"Retry-After": LOOK_SECONDS})
    ids = [parse_id(str(request.path_params.get(name, ""))) for name in _IDS]
    id_: UUID | None = next((each for each in ids if each is not None), None)
    return error if id_ is None else _archived(location_of(id_), _READ_ONLY_DETAIL)


_DETAIL = "The payment is archived: its month has left the database. Ask your operator to restore the month to read it."
_READ_ONLY_DETAIL = (
    "The payment is archived: nothing of its month can be changed. It can be read as long as it is restored."
)
_LOOKED_AT_DETAIL = (
    "The archive is looking at the payment's month, and nothing of it can be changed for a moment. "
    "Retry after the seconds in Retry-After, with the same Idempotency-Key."
)


def _archived(location: Location, detail: str) -> Problem:
    archive = {"month": location.month, "location": location.location}
    return Problem(410, CODE, detail, extensions={"archive": archive})
