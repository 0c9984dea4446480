"""The rotate function: Secrets Manager's four steps, for the functions' logins to database and broker."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.observability.logging import logger
from paybridge.secrets.rotate import rotate
from paybridge.wiring.rotation import rotation

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Takes one step. Raises when it cannot be taken: Secrets Manager then takes it again."""
    step, secret_id, version = event["Step"], event["SecretId"], event["ClientRequestToken"]
    rotate(rotation(secret_id), step, version)
    log.info("step of a rotation taken", extra={"step": step, "secret_id": secret_id, "version": version})
