"""The jobs function: every minute, maintenance and metrics."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.runners import jobs


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Run every job and return their counts. The schedule's event carries nothing."""
    return jobs.run_jobs()
