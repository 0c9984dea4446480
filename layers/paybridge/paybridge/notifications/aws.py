"""Calls of AWS that are made once, and what their errors say about a message: whether it was taken.

Import this late: boto3 takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)

from paybridge.notifications.domain.answers import Accepted, Answer, NotSent, OutcomeUnclear

# A call takes 7 s at worst. botocore would repeat one whose answer is lost, and so send an SMS twice: one attempt.
CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 5
ATTEMPTS_MAX = 1

# Without a connection, a region or a login, nothing was sent.
_BEFORE_THE_CALL = (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
)
# What AWS answers while it takes no call at all: too many, or none with these rights.
_OUTAGE_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "LimitExceededException",
        "SignatureDoesNotMatch",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "UnrecognizedClientException",
    }
)


def client_of(service: str) -> Any:
    """Return a client of the service that never repeats a call."""
    retries = {"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"}
    # Not the default session, because another thread may make another client at the same time.
    return boto3.Session().client(
        service,
        config=Config(connect_timeout=CONNECT_SECONDS_MAX, read_timeout=READ_SECONDS_MAX, retries=retries),
    )


def answer_of(
    client: Callable[[], Any],
    call: Callable[[Any], dict[str, Any]],
    permanent: Collection[str],
    outages: Collection[str] = (),
) -> Answer:
    """Make the call with the client and return what its answer or its error means; see `answer_to`."""
    try:
        caller = client()
    except Exception as error:  # noqa: BLE001 - whatever keeps the client from being made, nothing was sent
        return NotSent(type(error).__name__, is_outage=True)
    try:
        return Accepted(str(call(caller)["MessageId"]))
    except (BotoCoreError, ClientError) as error:
        return answer_to(error, permanent, outages)


def answer_to(error: Exception, permanent: Collection[str], outages: Collection[str] = ()) -> Answer:
    """Return what an error of botocore means.

    `permanent` are the codes of messages that the service will never take, `outages` more codes that every message
    gets during an outage.
    """
    if isinstance(error, _BEFORE_THE_CALL):
        return NotSent(type(error).__name__, is_outage=True)
    if isinstance(error, ParamValidationError):
        return NotSent(type(error).__name__, is_permanent=True)
    if not isinstance(error, ClientError):
        return OutcomeUnclear(type(error).__name__)
    code = str(error.response.get("Error", {}).get("Code", "")) or "unknown"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if status >= 500:
        return OutcomeUnclear(code)
    return NotSent(code, is_permanent=code in permanent, is_outage=code in _OUTAGE_CODES or code in outages)
