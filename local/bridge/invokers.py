"""Invoke the functions of a Lambda endpoint by URL: `sam local start-lambda`, LocalStack, or another host of ours."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Mapping
from typing import Self
from urllib.parse import quote

import aiohttp

from infra.sam_template.definitions import RetryPolicy
from local.lambda_host.model import (
    EndpointError,
    FunctionNotFoundError,
    InvocationResult,
    PayloadTooLargeError,
    ThrottledError,
)

# Lambda lets a function run for 15 minutes.
_ANSWER_SECONDS_MAX = 910.0
_CONNECT_SECONDS_MAX = 5.0
# At the concurrency limit the endpoint is asked again after this long.
_THROTTLE_PAUSE_SECONDS = 0.05
_REFUSALS = {404: FunctionNotFoundError, 413: PayloadTooLargeError, 429: ThrottledError}


class LambdaEndpointInvoker:
    """An `Invoker` over Lambda's Invoke API. Use it as an asynchronous context manager.

    `names` gives the functions' names there by logical id. The others are called by their logical id.
    """

    def __init__(self, url: str, names: Mapping[str, str] | None = None) -> None:
        self._url = url.rstrip("/")
        self._names = names or {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS_MAX, connect=_CONNECT_SECONDS_MAX)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        """Invoke and wait for the answer. Retry a throttled invocation until `wait_seconds_max` is over."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_seconds_max
        while True:
            try:
                return await self._post(function_name, payload, "RequestResponse")
            except ThrottledError:
                if loop.time() + _THROTTLE_PAUSE_SECONDS > give_up_at:
                    raise
            await asyncio.sleep(_THROTTLE_PAUSE_SECONDS)

    async def invoke_event(
        self,
        function_name: str,
        payload: bytes,
        retry_policy: RetryPolicy | None = None,  # noqa: ARG002
    ) -> None:
        """Queue an event. The endpoint retries by its own configuration of the function, not by the policy."""
        await self._post(function_name, payload, "Event")

    async def _post(self, function_name: str, payload: bytes, kind: str) -> InvocationResult:
        assert self._session is not None
        name = quote(self._names.get(function_name, function_name), safe="")
        url = f"{self._url}/2015-03-31/functions/{name}/invocations"
        headers = {"X-Amz-Invocation-Type": kind, "Content-Type": "application/json", "Authorization": _authorization()}
        try:
            # As a stream, because aiohttp warns about large bodies of bytes.
            async with self._session.post(url, data=io.BytesIO(payload), headers=headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EndpointError(f"The Lambda endpoint {self._url} does not answer: {error!r}") from error
        if response.status not in {200, 202}:
            text = body.decode(errors="replace")[:300]
            raise _REFUSALS.get(response.status, EndpointError)(f"{self._url} answers {response.status}: {text}")
        request_id = response.headers.get("x-amzn-RequestId", "")
        return InvocationResult(body, response.headers.get("X-Amz-Function-Error"), request_id)


def _authorization() -> str:
    """Return credentials from which emulators read account and region. They verify no signature."""
    key = os.environ.get("AWS_ACCESS_KEY_ID", "test")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    scope = f"{key}/20260101/{region}/lambda/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
