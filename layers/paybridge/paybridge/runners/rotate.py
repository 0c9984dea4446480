"""Take one step of a rotation."""

from __future__ import annotations

from paybridge.observability.logging import logger
from paybridge.secrets.rotate import rotate
from paybridge.wiring import secrets

log = logger()


def take_step(step: str, secret_id: str, version: str) -> None:
    """Take a step of Secrets Manager's four and log it. Raises what `paybridge.secrets.rotate.rotate` raises."""
    rotate(secrets.rotation(secret_id), step, version)
    log.info("rotation step taken", extra={"step": step, "secret_id": secret_id, "version": version})
