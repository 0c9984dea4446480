"""The archive function: every minute, some more of the months that are archived or restored."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.runners import archive

# A run ends at most one slice late: a file, or a change of a table. So much is left for it.
MARGIN_SECONDS = 25.0


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Work until the function's time is almost over or nothing is left to do. The schedule's event carries nothing."""
    return archive.run_archive(context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS)
