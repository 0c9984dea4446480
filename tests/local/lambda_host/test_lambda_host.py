from __future__ import annotations

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from yarl import URL

from infra.sam_template.template import read_template
from local.bridge.http import HttpFront
from local.bridge.invokers import LambdaEndpointInvoker
from local.lambda_host.host import LambdaHost
from local.lambda_host.model import FunctionNotFoundError, InvocationResult, PayloadTooLargeError, ThrottledError
from local.testkit.live import eventually_async

TEMPLATE = Path(__file__).parents[2] / "support" / "lambda_functions" / "template.yaml"


@pytest.fixture(params=["awslambdaric", "pure Python"])
async def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LambdaHost]:
    template = read_template(TEMPLATE)
    if request.param == "pure Python":
        for function in template.functions.values():
            monkeypatch.setitem(function.environment, "PAYBRIDGE_LOCAL_PURE_PYTHON_WORKER", "1")
    async with LambdaHost(template, logs_dir=tmp_path) as started:
        yield started


def decoded(result: InvocationResult) -> Any:
    return json.loads(result.payload)


class TestInvoke:
    async def test_runs_the_handler_in_a_warm_process(self, host: LambdaHost) -> None:
        first = decoded(await host.invoke("Toy", b'{"a": 1}'))
        second = decoded(await host.invoke("Toy", b"{}"))
        assert first["event"] == {"a": 1}
        assert first["greeting"] == "hello, world"
        assert 0 < first["remaining_ms"] <= 10_000
        assert first["pid"] == second["pid"]

    async def test_reports_an_exception(self, host: LambdaHost) -> None:
        result = await host.invoke("Toy", b'{"mode": "raise"}')
        assert result.function_error == "Unhandled"
        assert (decoded(result)["errorType"], decoded(result)["errorMessage"]) == ("ValueError", "as asked for")

    async def test_reports_an_exception_with_much_to_say(self, host: LambdaHost) -> None:
        result = await host.invoke("Toy", b'{"mode": "raise", "times": 5000}')
        assert decoded(result)["errorMessage"] == "as asked for" * 5_000

    async def test_kills_the_environment_at_the_timeout(self, host: LambdaHost) -> None:
        pid = decoded(await host.invoke("TimesOut", b"{}"))["pid"]
        result = await host.invoke("TimesOut", b'{"mode": "sleep", "seconds": 30}')
        assert decoded(result)["errorType"] == "Sandbox.Timedout"
        assert decoded(await host.invoke("TimesOut", b"{}"))["pid"] != pid

    async def test_reports_a_process_that_exits_and_starts_another(self, host: LambdaHost) -> None:
        result = await host.invoke("Toy", b'{"mode": "exit"}')
        assert decoded(result)["errorType"] == "Runtime.ExitError"
        assert "exit status 3" in decoded(result)["errorMessage"]
        assert (await host.invoke("Toy", b"{}")).function_error is None

    async def test_reports_a_function_that_cannot_start(self, host: LambdaHost) -> None:
        result = await host.invoke("Broken", b"{}")
        assert result.function_error == "Unhandled"
        assert decoded(result)["errorMessage"] == "broken at import"

    async def test_throttles_beyond_the_reserved_concurrency(self, host: LambdaHost) -> None:
        sleep = b'{"mode": "sleep", "seconds": 0.5}'
        results = await asyncio.gather(*(host.invoke("Toy", sleep) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [InvocationResult, InvocationResult, ThrottledError]

    @pytest.mark.parametrize("qualifier", ["live", "7", "$LATEST"])
    async def test_knows_its_one_version_by_every_qualifier(self, host: LambdaHost, qualifier: str) -> None:
        arn = host.template.functions["Toy"].arn
        for name in ("Toy", arn):
            assert decoded(await host.invoke(f"{name}:{qualifier}", b'{"a": 3}'))["event"] == {"a": 3}

    async def test_refuses_unknown_functions_and_large_payloads(self, host: LambdaHost) -> None:
        with pytest.raises(FunctionNotFoundError):
            await host.invoke("Nobody", b"{}")
        with pytest.raises(PayloadTooLargeError):
            await host.invoke("Toy", b" " * (6 * 1024 * 1024 + 1))

    async def test_refuses_a_large_answer(self, host: LambdaHost) -> None:
        assert decoded(await host.invoke("Toy", b'{"mode": "big"}'))["errorType"] == "Function.ResponseSizeTooLarge"


class TestInvokeApi:
    async def test_serves_boto3(self, host: LambdaHost) -> None:
        client = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{host.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        failed = await asyncio.to_thread(client.invoke, FunctionName="Toy", Payload=b'{"mode": "raise"}')
        assert (failed["StatusCode"], failed["FunctionError"]) == (200, "Unhandled")
        queued = await asyncio.to_thread(client.invoke, FunctionName="Toy", InvocationType="Event", Payload=b"{}")
        assert queued["StatusCode"] == 202
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            await asyncio.to_thread(client.invoke, FunctionName="Nobody", Payload=b"{}")

    async def test_serves_the_endpoint_invoker(self, host: LambdaHost) -> None:
        async with LambdaEndpointInvoker(f"http://127.0.0.1:{host.port}") as invoker:
            assert decoded(await invoker.invoke("Toy", b'{"a": 2}'))["event"] == {"a": 2}
            with pytest.raises(FunctionNotFoundError):
                await invoker.invoke("Nobody", b"{}")

    async def test_calls_functions_by_the_names_that_they_have_elsewhere(self, host: LambdaHost) -> None:
        names = {"Known": "arn:aws:lambda:eu-central-1:000000000000:function:Toy:live"}
        async with LambdaEndpointInvoker(f"http://127.0.0.1:{host.port}", names) as invoker:
            assert decoded(await invoker.invoke("Known", b'{"a": 3}'))["event"] == {"a": 3}
            assert decoded(await invoker.invoke("Toy", b'{"a": 4}'))["event"] == {"a": 4}


class TestWarm:
    async def test_starts_what_has_events_and_nothing_else(self, tmp_path: Path) -> None:
        async with LambdaHost(read_template(TEMPLATE), logs_dir=tmp_path) as host:
            host.warm()
            started = {name for name, pool in host._pools.items() if pool._starting}
            assert started == {"Web", "Consumer"}


class TestClose:
    async def test_ends_functions_at_once(self, tmp_path: Path) -> None:
        template = read_template(TEMPLATE)
        patient = replace(template.functions["Toy"], timeout_seconds=60)
        functions = {**template.functions, "Toy": patient}
        async with LambdaHost(replace(template, functions=functions), logs_dir=tmp_path) as host:
            sleeping = asyncio.create_task(host.invoke("Toy", b'{"mode": "sleep", "seconds": 30}'))
            await eventually_async(lambda: host._pools["Toy"]._busy, "the function has its event")
            # Others are just starting.
            host.warm()
            closed_at = time.monotonic()
        assert time.monotonic() - closed_at < 15
        assert decoded(await sleeping)["errorType"] == "Runtime.ExitError"


class TestConcurrency:
    async def test_is_reached_by_slow_callers_and_leaves_room_for_a_short_one(self, tmp_path: Path) -> None:
        callers, sleep = 20, b'{"mode": "sleep", "seconds": 20}'
        template = read_template(TEMPLATE)
        toy = replace(template.functions["Toy"], timeout_seconds=25, reserved_concurrency=50)
        async with LambdaHost(replace(template, functions={"Toy": toy}), logs_dir=tmp_path) as host:
            slow = [asyncio.create_task(host.invoke("Toy", sleep)) for _ in range(callers)]
            await asyncio.sleep(0)
            short = await asyncio.wait_for(host.invoke("Toy", b"{}"), 15)
            assert short.function_error is None
            assert not any(task.done() for task in slow)
            for task in slow:
                task.cancel()


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[HttpFront]:
    template = read_template(TEMPLATE)
    async with (
        LambdaHost(template, logs_dir=tmp_path) as host,
        HttpFront(template.functions.values(), host, queue_seconds_max=0.2) as started,
    ):
        yield started


class TestHttpFront:
    async def test_hands_on_the_request_in_payload_format_2(self, front: HttpFront) -> None:
        url = URL(f"http://127.0.0.1:{front.port}/a/b?x=1&x=2&y=%2F", encoded=True)
        headers = {"Cookie": "s=1; t=2", "X-Key": "k", "Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session, session.post(url, data=b'{"q": 1}', headers=headers) as response:
            event = json.loads(await response.read())
            assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
            assert response.headers["apigw-requestid"] == event["requestContext"]["requestId"]
        assert (event["version"], event["routeKey"]) == ("2.0", "ANY /{proxy+}")
        assert (event["rawPath"], event["rawQueryString"]) == ("/a/b", "x=1&x=2&y=%2F")
        assert event["queryStringParameters"] == {"x": "1,2", "y": "/"}
        assert event["pathParameters"] == {"proxy": "a/b"}
        assert event["cookies"] == ["s=1", "t=2"]
        assert event["headers"]["x-key"] == "k"
        assert "cookie" not in event["headers"]
        assert (event["body"], event["isBase64Encoded"]) == ('{"q": 1}', False)
        assert event["requestContext"]["http"]["method"] == "POST"

    async def test_carries_bytes_both_ways(self, front: HttpFront) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{front.port}") as session:
            async with session.post("/x", data=b"\xff\x00") as response:
                event = json.loads(await response.read())
            assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
            async with session.get("/bytes") as response:
                assert (response.status, await response.read()) == (201, bytes(range(256)))

    async def test_answers_problems(self, front: HttpFront) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{front.port}") as session:
            async with session.get("/raise") as response:
                assert (response.status, response.content_type) == (500, "application/problem+json")
                problem = await response.json(content_type=None)
                assert (problem["type"], problem["errors"]) == ("urn:paybridge:problem:internal_error", [])
            async with session.post("/x", data=io.BytesIO(b"x" * (10 * 1024 * 1024 + 1))) as response:
                assert (response.status, response.content_type) == (413, "application/problem+json")
                assert (await response.json(content_type=None))["code"] == "body_too_large"

    async def test_answers_503_when_every_environment_is_busy(self, front: HttpFront) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{front.port}") as session:
            await (await session.get("/")).read()
            responses = await asyncio.gather(session.get("/slow"), session.get("/slow"))
        refused = next(response for response in responses if response.status == 503)
        assert sorted(response.status for response in responses) == [200, 503]
        assert refused.headers["Retry-After"] == "1"


async def answer_to(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes and return status, headers and body of the answer. The server then closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split(" ")[1]), headers, body


class TestUnreadableRequests:
    @pytest.mark.parametrize(
        ("request_bytes", "status", "code"),
        [
            (b"BREW\x00 / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_malformed"),
            (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_malformed"),
            (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "request_malformed"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "request_malformed"),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "request_malformed"),
            (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "request_malformed"),
            (
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
                400,
                "request_malformed",
            ),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
            (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "headers_too_large"),
        ],
    )
    async def test_each_is_one_problem(self, front: HttpFront, request_bytes: bytes, status: int, code: str) -> None:
        found, headers, body = await answer_to(front.port, request_bytes)
        problem = json.loads(body)
        assert (found, headers["content-type"]) == (status, "application/problem+json")
        assert (problem["status"], problem["code"], problem["errors"]) == (status, code, [])
        assert problem["type"] == f"urn:paybridge:problem:{code}"
        assert problem["request_id"] == headers["apigw-requestid"]

    async def test_a_bad_chunk_after_a_good_one_is_one_problem(self, front: HttpFront) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"zz\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer.count(b"apigw-requestid") == 1
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"application/problem+json" in answer

    async def test_a_compressed_body_is_handed_on_as_it_is(self, front: HttpFront) -> None:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{front.port}") as session,
            session.post("/x", data=b"no gzip", headers=headers) as response,
        ):
            event = json.loads(await response.read())
        assert (base64.b64decode(event["body"]), event["headers"]["content-encoding"]) == (b"no gzip", "gzip")
