"""The long_jobs function: every minute, some more of what operators have asked for and of the nightly work."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.runners import long_jobs

# A job ends its turn at most one slice late. So much is left for that slice and for the answer.
MARGIN_SECONDS = 15.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Work until the function's time is almost over or nothing is left to do. The schedule's event carries nothing."""
    return long_jobs.run_long_jobs(context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
