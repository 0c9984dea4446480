"""Clients of the AWS-compatible endpoint of the stack: the AWS fake, an emulator, or one that the user runs."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.errors import LocalError
from local.settings import AWS_KEYS, AWS_REGION, LocalSettings, variable_of

# A running endpoint answers at once. boto3's own limit is a minute.
_LOOK_SECONDS_MAX = 5
_ENDPOINT = re.compile(r"https?://(?P<place>([\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5}))/?")
PORT_MAX = 65535


def client(settings: LocalSettings, service: str, **config: Any) -> Any:
    """Return a boto3 client that reaches only the stack's endpoint. `config` are options of botocore's Config."""
    # Loaded late: most commands need no AWS.
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=settings.aws_url,
        region_name=AWS_REGION,
        aws_access_key_id=AWS_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_KEYS["AWS_SECRET_ACCESS_KEY"],
        config=Config(**config),
    )


def check_given(settings: LocalSettings) -> None:
    """Check the endpoint that the user runs. Raises LocalError if its URL is malformed or it does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    name = variable_of("aws_endpoint")
    match = _ENDPOINT.fullmatch(settings.aws_endpoint)
    if match is None or int(match["port"]) > PORT_MAX:
        raise LocalError(f"{name} is {settings.aws_endpoint}, which is not of the form http://host:port: correct it.")
    patience = {"connect_timeout": _LOOK_SECONDS_MAX, "read_timeout": _LOOK_SECONDS_MAX, "retries": {"max_attempts": 0}}
    try:
        client(settings, "sts", **patience).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise LocalError(f"{name} names {match['place']}, which does not answer as AWS does: {error}") from None


@contextmanager
def errors_as_a_sentence(settings: LocalSettings) -> Iterator[None]:
    """Turn what the endpoint refuses within the block into LocalError: the user's endpoint may lack a service."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LocalError(f"The AWS endpoint {settings.aws_url} refused a call that the stack needs: {error}") from None


def processor() -> str:
    """Return Lambda's name of this machine's processor."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
