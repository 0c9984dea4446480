"""Every endpoint answers as the OpenAPI document says, with successes and with errors."""

from __future__ import annotations

import uuid
from contextlib import closing
from enum import StrEnum
from typing import Any

import pytest
from openapi_spec_validator import validate

from api.openapi import introduction
from local.testkit.api import OPERATOR_KEY, ORDER, AbsentBroker, Answer, ApiClient, api_client, demo_merchant_id
from local.testkit.payments import authorized_payment, captured_payment, new_payment
from paybridge.core import field_rules as rules
from paybridge.core.events import OUTCOME_TYPES, REFUND_CREATED
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.payments.domain.payment import Status
from paybridge.payments.domain.refund import RefundStatus
from paybridge.webhooks.domain.webhook_url import URL_CODES
from tests.support.openapi import Contract

PAYMENTS = "/api/v1/payments"
ONE_PAYMENT = "/api/v1/payments/{payment_id}"
EVENTS = "/api/v1/events"
FRAUD_RULES = "/api/v1/fraud-rules"
TIMELINE = "/api/v1/payments/{payment_id}/events"
CAPTURE = "/api/v1/payments/{payment_id}/capture"
CANCEL = "/api/v1/payments/{payment_id}/cancel"
REFUNDS_OF_PAYMENT = "/api/v1/payments/{payment_id}/refunds"
REFUNDS = "/api/v1/refunds"
ONE_REFUND = "/api/v1/refunds/{refund_id}"


class TestDocument:
    def test_is_valid_openapi(self, contract: Contract) -> None:
        validate(contract.document)

    def test_only_merchant_operations_need_the_api_key(self, contract: Contract) -> None:
        scheme = contract.document["components"]["securitySchemes"]["ApiKey"]
        assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "X-API-Key")
        for path, item in contract.document["paths"].items():
            for operation in item.values():
                assert operation["security"] == ([{"ApiKey": []}, {"Token": []}] if path.startswith("/api/") else [])

    @pytest.mark.parametrize("template", [CAPTURE, CANCEL, REFUNDS_OF_PAYMENT])
    def test_the_examples_of_commands_fit_their_schemas(self, contract: Contract, template: str) -> None:
        body = contract.document["paths"][template]["post"]["requestBody"]
        assert body["required"] is False
        content = body["content"]["application/json"]
        contract.check_schema(content["schema"], content["example"])

    def test_the_example_of_a_refund_is_true(self, contract: Contract, client: ApiClient, database: Database) -> None:
        request = contract.document["paths"][REFUNDS_OF_PAYMENT]["post"]["requestBody"]["content"]["application/json"]
        schema = contract.document["components"]["schemas"]["RefundView"]
        [example] = schema["examples"]
        contract.check_schema(schema, example)
        payment_id = captured_payment(database, demo_merchant_id(database), currency=example["currency"])
        answer = client.order(f"{payment_id}/refunds", request["example"])
        own = ("refund_id", "payment_id", "created_at", "updated_at")
        assert {**answer.json(), **dict.fromkeys(own)} == {**example, **dict.fromkeys(own)}

    def test_the_examples_are_true(self, contract: Contract, client: ApiClient) -> None:
        operation = contract.document["paths"][PAYMENTS]["post"]
        request = operation["requestBody"]["content"]["application/json"]
        contract.check_schema(request["schema"], request["example"])
        answer = client.create(request["example"])
        contract.check("POST", PAYMENTS, answer)
        schema = contract.document["components"]["schemas"]["PaymentView"]
        [example] = schema["examples"]
        contract.check_schema(schema, example)
        own = ("payment_id", "created_at", "updated_at")
        assert {**answer.json(), **dict.fromkeys(own)} == {**example, **dict.fromkeys(own)}

    def test_every_error_is_a_problem(self, contract: Contract) -> None:
        for item in contract.document["paths"].values():
            for operation in item.values():
                errors = {status: response for status, response in operation["responses"].items() if status >= "4"}
                # API Gateway answers 429 itself, without a problem.
                errors.pop("429", None)
                assert {media for error in errors.values() for media in error["content"]} == (
                    {"application/problem+json"} if errors else set()
                )
        assert not {"HTTPValidationError", "ValidationError"} & set(contract.document["components"]["schemas"])

    def test_every_code_is_listed_for_programs(self, contract: Contract) -> None:
        documented = set(contract.document["components"]["schemas"]["Problem"]["properties"]["code"]["x-codes"])
        assert {"amount_places", "idempotency_key_reused", "internal_error", "not_ready"} <= documented
        for item in contract.document["paths"].values():
            for operation in item.values():
                for response in operation["responses"].values():
                    assert set(response.get("x-codes", ())) <= documented

    def test_every_code_of_a_field_is_listed_for_programs(self, contract: Contract) -> None:
        documented = set(contract.document["components"]["schemas"]["FieldError"]["properties"]["code"]["x-codes"])
        assert {*rules.CODES, *URL_CODES, "amount_places", "cursor_invalid"} <= documented
        assert "internal_error" not in documented

    def test_requests_have_no_defaults(self, contract: Contract) -> None:
        """A generator takes a member with a default for one that is always there, and demands it in a request."""
        request = contract.document["components"]["schemas"]["PaymentRequest"]["properties"]
        parameters = [
            parameter
            for item in contract.document["paths"].values()
            for operation in item.values()
            for parameter in operation.get("parameters", ())
        ]
        assert {"limit", "cursor", "Idempotency-Key", "Prefer"} <= {parameter["name"] for parameter in parameters}
        for schema in [*request.values(), *(parameter["schema"] for parameter in parameters)]:
            assert "default" not in schema
        for parameter in parameters:
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ())

    def test_the_size_of_a_page_has_bounds(self, contract: Contract) -> None:
        [limit] = [
            parameter["schema"]
            for parameter in contract.document["paths"][PAYMENTS]["get"]["parameters"]
            if parameter["name"] == "limit"
        ]
        assert (limit["minimum"], limit["maximum"]) == (1, 100)

    def test_every_webhook_has_a_true_example(self, contract: Contract) -> None:
        webhooks = contract.document["webhooks"]
        assert webhooks.keys() == set(OUTCOME_TYPES)
        for type_, item in webhooks.items():
            content = item["post"]["requestBody"]["content"]["application/json"]
            contract.check_schema(content["schema"], content["example"])
            assert content["example"]["type"] == type_
            status = "created" if type_ == REFUND_CREATED else content["example"]["data"]["status"]
            assert type_.endswith(f".{status}")

    def test_the_local_key_is_named_on_the_local_stack_only(self, contract: Contract) -> None:
        assert "secret-api-key" in contract.document["info"]["description"]
        assert "secret-api-key" not in introduction(is_local=False)

    def test_the_page_gives_each_try_a_fresh_key(self, contract: Contract, client: ApiClient) -> None:
        [key] = [
            parameter["schema"]["example"]
            for parameter in contract.document["paths"][PAYMENTS]["post"]["parameters"]
            if parameter["name"] == "Idempotency-Key"
        ]
        assert f"EXAMPLE_KEY = '{key}'" in client.get("/docs/start.js").body.decode()

    def test_unknown_members_are_documented_as_refused(self, contract: Contract) -> None:
        assert contract.document["components"]["schemas"]["PaymentRequest"]["additionalProperties"] is False


class TestAnswers:
    def test_create(self, client: ApiClient, contract: Contract) -> None:
        for answer in (
            client.create(ORDER, key="contract"),
            client.create(ORDER, key="contract"),
            client.create({**ORDER, "amount": "2.00"}, key="contract"),
            client.create(b"{"),
            client.create(b"[]"),
            client.create(b" " * 300_000),
            client.create({}),
            client.create({**ORDER, "metadata": {"k": "v" * 501}}),
            client.create(ORDER, headers={"content-type": "text/plain"}),
            client.create(ORDER, headers={"idempotency-key": ""}),
            client.create(ORDER, api_key=""),
            client.create(ORDER, api_key="wrong"),
            client.create(ORDER, api_key=OPERATOR_KEY),
        ):
            contract.check("POST", PAYMENTS, answer)

    def test_read(self, client: ApiClient, contract: Contract) -> None:
        path = client.create(ORDER).headers["location"]
        for answer, status in (
            (client.get(path), 200),
            (client.get(path, headers={"prefer": "wait=0"}), 200),
            (client.get(f"{PAYMENTS}/{uuid.uuid4()}"), 404),
            (client.get(path, api_key="wrong"), 401),
            (client.get(path, api_key=OPERATOR_KEY), 200),
        ):
            assert answer.status == status
            contract.check("GET", ONE_PAYMENT, answer)

    def test_list(self, client: ApiClient, contract: Contract) -> None:
        for _ in range(2):
            client.create(ORDER)
        for query, status in (({}, 200), ({"limit": "1"}, 200), ({"limit": "0"}, 422), ({"cursor": "x"}, 422)):
            answer = client.get(PAYMENTS, query=query)
            assert answer.status == status
            contract.check("GET", PAYMENTS, answer)
        contract.check("GET", PAYMENTS, client.get(PAYMENTS, api_key=""))

    def test_timeline(self, client: ApiClient, contract: Contract) -> None:
        path = client.create(ORDER).headers["location"]
        contract.check("GET", TIMELINE, client.get(f"{path}/events"))
        contract.check("GET", TIMELINE, client.get(f"{PAYMENTS}/{uuid.uuid4()}/events"))

    def test_capture_and_cancel(self, client: ApiClient, contract: Contract, database: Database) -> None:
        held = [authorized_payment(database, demo_merchant_id(database)) for _ in range(2)]
        for command, payment_id, template, other in (
            ("capture", held[0], CAPTURE, {"amount": "1.00"}),
            ("cancel", held[1], CANCEL, {"reason": "x"}),
        ):
            path = f"{payment_id}/{command}"
            for answer, status in (
                (client.order(path, {"amount": "100.01"} if command == "capture" else {"reason": ""}), 422),
                (client.order(path, key="contract"), 202),
                (client.order(path, key="contract"), 202),
                (client.order(path, other, key="contract"), 422),
                (client.order(path), 409),
                (client.order(path, b"{"), 400),
                (client.order(path, b"[]"), 422),
                (client.order(path, b" " * 300_000), 413),
                (client.order(path, {"x": 1}), 422),
                (client.order(path, {}, headers={"content-type": "text/plain"}), 415),
                (client.order(f"{uuid.uuid4()}/{command}"), 404),
                (client.order(path, api_key="wrong"), 401),
                (client.order(path, api_key=OPERATOR_KEY), 403),
            ):
                assert answer.status == status, answer.body
                contract.check("POST", template, answer)

    def test_refunds(self, client: ApiClient, contract: Contract, database: Database) -> None:
        merchant_id = demo_merchant_id(database)
        payment_id, pending = captured_payment(database, merchant_id), new_payment(database, merchant_id)
        path = f"{payment_id}/refunds"
        created = client.order(path, {"amount": "60.00"}, key="contract")
        for answer, status in (
            (created, 202),
            (client.order(path, {"amount": "60.00"}, key="contract"), 202),
            (client.order(path, {"amount": "60.01"}, key="contract"), 422),
            (client.order(path, {"amount": "60.00"}), 422),
            (client.order(path, {"amount": "60"}), 422),
            (client.order(f"{pending}/refunds"), 409),
            (client.order(path, b"{"), 400),
            (client.order(f"{uuid.uuid4()}/refunds"), 404),
            (client.order(path, api_key=""), 401),
        ):
            assert answer.status == status, answer.body
            contract.check("POST", REFUNDS_OF_PAYMENT, answer)
        for answer, template in (
            (client.get(f"{PAYMENTS}/{path}", query={"limit": "1"}), REFUNDS_OF_PAYMENT),
            (client.get(f"{PAYMENTS}/{path}", query={"limit": "0"}), REFUNDS_OF_PAYMENT),
            (client.get(f"{PAYMENTS}/{uuid.uuid4()}/refunds"), REFUNDS_OF_PAYMENT),
            (client.get(REFUNDS, query={"payment_id": str(payment_id)}), REFUNDS),
            (client.get(REFUNDS, query={"payment_id": "x"}), REFUNDS),
            (client.get(REFUNDS, query={"cursor": "x"}), REFUNDS),
            (client.get(created.headers["location"], headers={"prefer": "wait=0"}), ONE_REFUND),
            (client.get(f"{REFUNDS}/{uuid.uuid4()}"), ONE_REFUND),
            (client.get(created.headers["location"], api_key=OPERATOR_KEY), ONE_REFUND),
        ):
            contract.check("GET", template, answer)

    def test_events(self, client: ApiClient, contract: Contract) -> None:
        path = client.create(ORDER).headers["location"]
        page = client.get(EVENTS, query={"limit": "1"})
        one = f"{EVENTS}/{page.json()['data'][0]['event_id']}"
        for answer, template, status in (
            (page, EVENTS, 200),
            (client.get(EVENTS, query={"after": str(uuid.uuid4())}), EVENTS, 422),
            (client.get(EVENTS, query={"limit": "0"}), EVENTS, 422),
            (client.get(EVENTS, query="type=%ff"), EVENTS, 400),
            (client.get(EVENTS, headers={"prefer": "wait=1"}), EVENTS, 200),
            (client.get(EVENTS, api_key=OPERATOR_KEY), EVENTS, 200),
            (client.get(EVENTS, api_key=""), EVENTS, 401),
            (client.get(f"{EVENTS}/stream"), f"{EVENTS}/stream", 200),
            (client.get(f"{EVENTS}/stream", query={"type": "x"}), f"{EVENTS}/stream", 422),
            (client.get(one), f"{EVENTS}/{{event_id}}", 200),
            (client.get(f"{EVENTS}/{uuid.uuid4()}"), f"{EVENTS}/{{event_id}}", 404),
            (client.get(f"{path}/stream"), f"{ONE_PAYMENT}/stream", 200),
            (client.get(f"{PAYMENTS}/{uuid.uuid4()}/stream"), f"{ONE_PAYMENT}/stream", 404),
        ):
            assert answer.status == status, answer.body
            contract.check("GET", template, answer)

    def test_health(self, client: ApiClient, contract: Contract, database_address: DatabaseAddress) -> None:
        contract.check("GET", "/health", client.get("/health"))
        ready = client.get("/health/ready")
        assert ready.status == 200
        contract.check("GET", "/health/ready", ready)
        contract.check("GET", "/health/ready", client.get("/health/ready", query={"for": "accepting"}))
        contract.check("GET", "/health/ready", client.get("/health/ready", query={"for": "lunch"}))
        with closing(Database(database_address)) as connection:
            not_ready = api_client(connection, broker=AbsentBroker()).get("/health/ready")
        assert not_ready.status == 503
        contract.check("GET", "/health/ready", not_ready)


class TestProblems:
    def assert_problem(self, answer: Answer, status: int, code: str) -> None:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
        assert problem["type"] == f"urn:paybridge:problem:{code}"
        assert problem["request_id"] == answer.headers["x-correlation-id"]
        assert isinstance(problem["title"], str)
        assert isinstance(problem["detail"], str)
        assert isinstance(problem["errors"], list)

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/api/v1/payments/", 404, "not_found"),
            ("GET", "/api/v2/payments", 404, "not_found"),
            ("GET", "/docs/../handler.py", 404, "not_found"),
            ("GET", "/docs/handler.py", 404, "not_found"),
            ("DELETE", "/api/v1/payments", 405, "method_not_allowed"),
            ("PUT", "/api/v1/payments/019acd00-0000-7000-8000-000000000000", 405, "method_not_allowed"),
            ("POST", "/health", 405, "method_not_allowed"),
            ("BREW", "/health", 405, "method_not_allowed"),
        ],
    )
    def test_a_request_without_a_route_is_a_problem(
        self, client: ApiClient, method: str, path: str, status: int, code: str
    ) -> None:
        answer = client.request(method, path)
        self.assert_problem(answer, status, code)
        assert ("allow" in answer.headers) == (status == 405)

    @pytest.mark.parametrize(
        ("path", "allow"),
        [
            ("/api/v1/payments", "GET, HEAD, OPTIONS, POST"),
            ("/api/v1/payments/019acd00-0000-7000-8000-000000000000", "GET, HEAD, OPTIONS"),
            ("/api/v1/payments/019acd00-0000-7000-8000-000000000000/events", "GET, HEAD, OPTIONS"),
            ("/api/v1/ops/dead-letters/redrive", "OPTIONS, POST"),
            ("/health", "GET, HEAD, OPTIONS"),
            ("/health/ready", "GET, HEAD, OPTIONS"),
            ("/openapi.json", "GET, HEAD, OPTIONS"),
            ("/docs", "GET, HEAD, OPTIONS"),
            ("/", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_allow_lists_every_method_of_the_path(self, client: ApiClient, path: str, allow: str) -> None:
        refused = client.request("DELETE", path)
        self.assert_problem(refused, 405, "method_not_allowed")
        options = client.request("OPTIONS", path, api_key="")
        assert (options.status, options.body) == (204, b"")
        assert "content-type" not in options.headers
        assert refused.headers["allow"] == options.headers["allow"] == allow

    def test_options_of_an_unknown_path_is_a_404(self, client: ApiClient) -> None:
        self.assert_problem(client.request("OPTIONS", "/nowhere"), 404, "not_found")

    def test_head_is_answered_wherever_get_is(self, client: ApiClient, contract: Contract) -> None:
        path = client.create(ORDER).headers["location"]
        paths = {template.replace(ONE_PAYMENT, path) for method, template in contract.operations() if method == "GET"}
        for one in [*paths, "/", "/docs", "/docs/swagger-ui.css", "/openapi.json", f"{PAYMENTS}/unknown"]:
            get, head = client.get(one), client.request("HEAD", one)
            assert (head.status, head.body) == (get.status, b""), one
            assert head.headers.get("content-type") == get.headers.get("content-type"), one
            # The lag in the readiness grows from one request to the next.
            if one != "/health/ready":
                assert head.headers["content-length"] == get.headers["content-length"], one

    def test_head_does_not_create(self, client: ApiClient) -> None:
        before = client.get(PAYMENTS).json()
        assert client.request("HEAD", PAYMENTS, body=b'{"amount":"1.00","currency":"EUR"}').status == 200
        assert client.get(PAYMENTS).json() == before

    def test_a_defect_is_a_500_without_details(self, client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("password=secret")

        monkeypatch.setattr("api.routes.payments.routes.read_payment", fail)
        answer = client.get(f"{PAYMENTS}/{uuid.uuid4()}")
        self.assert_problem(answer, 500, "internal_error")
        assert b"secret" not in answer.body
        assert b"RuntimeError" not in answer.body

    @pytest.mark.parametrize("headers", [{"x-api-key": "\ud800"}, {"x-correlation-id": "\udfff"}])
    def test_an_event_that_is_not_http_is_a_400(self, client: ApiClient, headers: dict[str, str]) -> None:
        answer = client.get("/health", headers=headers)
        assert (answer.status, answer.json()["code"]) == (400, "request_malformed")

    @pytest.mark.parametrize("host", ["[::1]:8000", "a:b:c", "host:port", ""])
    def test_the_host_header_is_ignored(self, client: ApiClient, host: str) -> None:
        assert client.get("/health", headers={"host": host, "x-forwarded-port": host}).status == 200


class TestAuthenticationComesFirst:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        "path",
        [
            f"{PAYMENTS}?foo=1",
            f"{PAYMENTS}?limit=0",
            f"{PAYMENTS}?customer=%FF",
            f"{PAYMENTS}?status=a&status=b",
            f"{PAYMENTS}?cursor=x",
            f"{PAYMENTS}/not-an-id",
            f"{PAYMENTS}/not-an-id/events",
            f"{PAYMENTS}/not-an-id/refunds?limit=0",
            f"{REFUNDS}?limit=0",
            f"{REFUNDS}/not-an-id",
        ],
    )
    def test_before_queries_and_ids(self, client: ApiClient, method: str, path: str) -> None:
        place, _, query = path.partition("?")
        for api_key, status in (("", 401), ("wrong", 401)):
            assert client.request(method, place, query=query, api_key=api_key).status == status

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, b"{"),
            ({}, b"x" * 300_000),
            ({}, b"{}"),
            ({"content-type": "text/plain"}, b"x"),
            ({"content-encoding": "gzip"}, b"x"),
            ({"idempotency-key": ""}, b"{}"),
            ({"idempotency-key": "a,a"}, b"{}"),
        ],
    )
    def test_before_headers_and_bodies(self, client: ApiClient, headers: dict[str, str], body: bytes) -> None:
        for api_key, status in (("", 401), ("wrong", 401), (OPERATOR_KEY, 403)):
            assert client.create(body, headers=headers, api_key=api_key).status == status
            for command in ("capture", "cancel", "refunds"):
                answer = client.order(f"not-an-id/{command}", body, headers=headers, api_key=api_key)
                assert answer.status == status


class TestRootPath:
    @pytest.mark.parametrize("root", ["/payments/v1", "/prod"])
    def test_paths_are_served_below_it_and_answers_name_them(
        self, database_address: DatabaseAddress, client: ApiClient, root: str
    ) -> None:
        with closing(Database(database_address)) as connection:
            below = api_client(connection, root_path=root)
            created = below.request(
                "POST",
                f"{root}{PAYMENTS}",
                headers={"idempotency-key": f"below{root}"},
                body=b'{"amount":"1.00","currency":"EUR"}',
            )
            location = created.headers["location"]
            assert location == f"{root}{PAYMENTS}/{created.json()['payment_id']}"
            assert below.get(location).json() == created.json()
            reused = below.request(
                "POST",
                f"{root}{PAYMENTS}",
                headers={"idempotency-key": f"below{root}"},
                body=b'{"amount":"2.00","currency":"EUR"}',
            )
            assert (reused.status, reused.headers["location"]) == (422, location)
            for path in (root, f"{root}/"):
                assert (below.get(path).status, below.get(path).headers["location"]) == (307, f"{root}/docs")
            assert below.get(f"{root}/docs").status == below.get(f"{root}/docs/start.js").status == 200
            assert below.get(f"{root}/openapi.json").json()["servers"][0]["url"] == root
            allow = below.request("DELETE", f"{root}{PAYMENTS}").headers["allow"]
            assert allow == "GET, HEAD, OPTIONS, POST"
            # The hook of a deployment invokes the function itself, without a gateway before it.
            assert below.get("/health").status == 200
            assert below.get(f"{root}x/health").status == 404

    def test_without_one_the_root_leads_to_the_documentation(self, client: ApiClient) -> None:
        answer = client.get("/", api_key="")
        assert (answer.status, answer.headers["location"]) == (307, "/docs")


class TestDocs:
    def test_the_page_loads_everything_from_this_server(self, client: ApiClient) -> None:
        page = client.get("/docs")
        assert page.status == 200
        assert b"//" not in page.body.replace(b"<!doctype html>", b"")
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "start.js"):
            assert name == "start.js" or f"docs/{name}".encode() in page.body
            asset = client.get(f"/docs/{name}")
            assert asset.status == 200
            assert asset.body
        assert b"openapi.json" in client.get("/docs/start.js").body


class TestStatuses:
    @pytest.mark.parametrize(("path", "statuses"), [(PAYMENTS, Status), (REFUNDS, RefundStatus)])
    def test_the_document_lists_the_states_of_the_state_machine(
        self, contract: Contract, path: str, statuses: type[StrEnum]
    ) -> None:
        schemas = contract.document["components"]["schemas"]
        parameters = contract.document["paths"][path]["get"]["parameters"]
        (schema,) = (parameter["schema"] for parameter in parameters if parameter["name"] == "status")
        named = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        assert named["enum"] == [str(status) for status in statuses]
