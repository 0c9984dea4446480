"""The migrate function: brings the schema up to date, for CloudFormation before new code takes traffic, or by hand."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from migrate import custom_resource
from paybridge.runners import migrate

# Left over for telling CloudFormation that the time was not enough.
RESERVE_SECONDS = 20.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str] | None:
    """Answer an event of CloudFormation's custom resource. On any other event, migrate and return the revision."""
    if "ResponseURL" not in event:
        return {"Revision": migrate.migrate()}
    seconds_max = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    custom_resource.serve(event, seconds_max, _provide)
    return None


def _provide(event: dict[str, Any]) -> dict[str, str]:
    """Bring the schema to the template's revision on Create and Update. Delete leaves payments where they are."""
    if event["RequestType"] == "Delete":
        return {}
    return {"Revision": migrate.migrate_patiently(event["ResourceProperties"]["Revision"])}
