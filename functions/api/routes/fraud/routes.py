"""Read and replace fraud rules, and try rules on past payments.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.fraud import documentation

PREFIX = "/api/v1/fraud-rules"

DryRunId = Annotated[str, Path(description="The dry run's id.", json_schema_extra={"format": "uuid"})]
Version = Annotated[
    str | None,
    Query(
        description="An earlier version. The present one if absent.",
        max_length=10,
        json_schema_extra={"pattern": "^[1-9][0-9]{0,9}$"},
    ),
]

router = APIRouter(prefix=PREFIX, tags=["fraud rules"], route_class=GuardedRoute)


@router.get("", **documentation.READ_RULES)
async def read_rules(request: Request, version: Version = None) -> Response:
    """Read the rules that payments are screened by. Without any, `rules` is empty and `version` 0."""
    from api.routes.fraud import answers

    return answers.read_rules(request, version)


@router.put("", **documentation.REPLACE_RULES)
async def replace_rules(request: Request) -> Response:
    """Replace all rules. They are a new version, by which payments are screened from now on."""
    from api.routes.fraud import answers

    return await answers.replace_rules(request)


@router.post("/dry-run", **documentation.START_DRY_RUN)
async def start_dry_run(request: Request) -> Response:
    """Find out what rules would have decided about past payments. Nothing about the payments changes.

    The answer is 200 if all payments were checked at once, otherwise 202: read the dry run until its state is
    `finished`. A merchant has one unfinished dry run: a new one cancels it.
    """
    from api.routes.fraud import answers

    return await answers.start_dry_run(request)


@router.get("/dry-run/{dry_run_id}", **documentation.READ_DRY_RUN)
async def read_dry_run(request: Request, dry_run_id: DryRunId) -> Response:
    """Read the progress and the results of a dry run. Each request also checks some more payments."""
    from api.routes.fraud import answers

    return answers.read_dry_run(request, dry_run_id)
