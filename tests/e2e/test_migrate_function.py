"""The migrate function in the whole stack, invoked as an operator invokes it."""

from __future__ import annotations

import asyncio
import json

import pytest

from local.bridge.invokers import LambdaEndpointInvoker
from local.stack.stack import Stack
from paybridge.database.migrations import HEAD

pytestmark = pytest.mark.e2e


class TestMigrate:
    def test_tells_the_revision_of_a_schema_that_is_up_to_date(self, stack: Stack) -> None:
        async def invoke() -> bytes:
            async with LambdaEndpointInvoker(f"http://127.0.0.1:{stack.settings.lambda_port}") as endpoint:
                result = await endpoint.invoke("paybridge-local-migrate", b"{}")
            assert result.function_error is None, result.payload
            return result.payload

        assert json.loads(asyncio.run(invoke())) == {"Revision": HEAD}
