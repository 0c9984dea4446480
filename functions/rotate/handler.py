"""The rotate function: Secrets Manager's four steps, for the functions' logins to database and broker."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.runners import rotate


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Take one step. Raises if it fails: Secrets Manager then retries it."""
    rotate.take_step(event["Step"], event["SecretId"], event["ClientRequestToken"])
