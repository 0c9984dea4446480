"""Create, read and list payments through the API function."""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.testkit.api import MERCHANT_KEY, ORDER, OTHER_KEY, Answer, ApiClient, api_client, event_loop, http_event
from paybridge.core.errors import InvalidInput
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

FULL_ORDER: dict[str, Any] = {
    "amount": "100.50",
    "currency": "RUB",
    "description": "Order #123 – заказ 😀",
    "metadata": {"order_id": "123", "ключ": "значение\t\u0001"},
    "webhook_url": "http://127.0.0.1:8091/ok?x=%20",
    "customer": " customer ",
    "payment_method": "tok_success",
}

# One request, and other bytes that ask for the same.
WRITTEN = '{"amount":"10.00","currency":"EUR","description":"счёт","metadata":{"a":"1","b":"2"}}'.encode()
SAME_REQUESTS: dict[str, bytes] = {
    "blanks": json.dumps(json.loads(WRITTEN), ensure_ascii=False, indent="\t").encode(),
    "other order": '{"currency":"EUR","metadata":{"b":"2","a":"1"},"description":"счёт","amount":"10.00"}'.encode(),
    "escapes": json.dumps(json.loads(WRITTEN)).encode(),
    "escaped names": WRITTEN.replace(b'"amount"', b'"\\u0061mount"').replace(b'"a"', b'"\\u0061"'),
    "null": WRITTEN.replace(b"}}", b'},"customer":null,"webhook_url":null,"payment_method":null}'),
    "default": WRITTEN.replace(b"}}", b'},"capture":"automatic"}'),
}

_COUNT = Statement("""
    SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM outbox), (SELECT count(*) FROM idempotency_keys)
""")
_OUTBOX_OF = Statement("""
    SELECT type, exchange, routing_key, sequence, correlation_id, body FROM outbox WHERE payment_id = :id::uuid
""")
_SETTLE = Statement("""
    UPDATE payments SET status = 'failed', failure_code = 'card_declined', updated_at = now() WHERE id = :id::uuid
""")
# Where a problem of a key is described.
DESCRIBED = '</docs>; rel="describedby"; type="text/html"'
_WAITING = Statement("SELECT slot FROM api_waits WHERE ends_at > now()")
_CLEAR_ANSWER = Statement("UPDATE idempotency_keys SET response_body = NULL WHERE resource_id = :id::uuid")


def rows_written(database: Database) -> list[int]:
    """Return the numbers of payments, outbox rows and keys."""
    return list(database.run(_COUNT)[0])


def code_of(answer: Answer) -> tuple[int, str]:
    """Return the status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.body
    return answer.status, answer.json()["code"]


class TestCreate:
    def test_answers_202_with_the_pending_payment(self, client: ApiClient) -> None:
        answer = client.create(ORDER)
        payment = answer.json()
        assert answer.status == 202
        assert (payment["status"], payment["amount"], payment["currency"]) == ("pending", "100.50", "RUB")
        assert answer.headers["location"] == f"/api/v1/payments/{payment['payment_id']}"
        assert answer.headers["content-type"] == "application/json"
        assert "idempotency-replayed" not in answer.headers

    def test_every_field_comes_back_unchanged(self, client: ApiClient) -> None:
        created = client.create(FULL_ORDER)
        assert {name: created.json()[name] for name in FULL_ORDER} == FULL_ORDER
        read = client.get(created.headers["location"])
        assert read.json() == created.json()
        assert list(read.json()["metadata"]) == list(FULL_ORDER["metadata"])

    def test_the_event_for_the_relay_carries_the_payment_and_the_correlation_id(
        self, client: ApiClient, database: Database
    ) -> None:
        answer = client.create(FULL_ORDER, headers={"x-correlation-id": "from-the-shop-42"})
        assert answer.headers["x-correlation-id"] == "from-the-shop-42"
        [[type_, exchange, routing_key, sequence, correlation_id, body]] = database.run(
            _OUTBOX_OF, id=answer.json()["payment_id"]
        )
        assert (type_, exchange, routing_key, sequence) == ("payment.created", "payments", "payments.new", 1)
        assert correlation_id == json.loads(body)["correlationid"] == "from-the-shop-42"
        assert json.loads(body)["data"] == {**answer.json(), "operation": None}

    @pytest.mark.parametrize("capture", ["automatic", "manual"])
    def test_takes_both_ways_of_capturing(self, client: ApiClient, capture: str) -> None:
        answer = client.create({**ORDER, "capture": capture})
        assert (answer.status, answer.json()["capture"]) == (202, capture)
        assert client.get(answer.headers["location"]).json()["capture"] == capture

    def test_names_an_unknown_member_without_its_value(self, client: ApiClient) -> None:
        answer = client.create({**ORDER, "desciption": "4111111111111111"})
        assert code_of(answer) == (422, "validation_failed")
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [
            ("desciption", "unknown_member")
        ]
        assert b"4111111111111111" not in answer.body

    @pytest.mark.parametrize(
        ("members", "field", "code"),
        [
            ({"metadata": {"order_id": 1}}, "metadata.order_id", "not_a_string"),
            ({"metadata": {"4111-1111": 1}}, "metadata.?", "not_a_string"),
            ({"metadata": {"card4111111111111111": 1}}, "metadata.?", "not_a_string"),
            ({"metadata": {"k" * 41: "v"}}, "metadata.?", "text_too_long"),
            ({"amount": 100}, "amount", "amount_not_a_string"),
            ({"amount": "1"}, "amount", "amount_places"),
            ({"currency": "XAU"}, "currency", "currency_unsupported"),
            ({"webhook_url": "http://example.com"}, "webhook_url", "webhook_url_insecure"),
        ],
    )
    def test_names_the_invalid_member(self, client: ApiClient, members: dict[str, Any], field: str, code: str) -> None:
        [error] = client.create({**ORDER, **members}).json()["errors"]
        assert (error["field"], error["code"]) == (field, code)

    def test_an_amount_sent_as_a_number_is_answered_with_what_to_send(self, client: ApiClient) -> None:
        [error] = client.create(b'{"amount": 10, "currency": "EUR"}').json()["errors"]
        assert error["detail"] == 'Send the amount as a string, such as "10.00".'

    def test_names_all_faults_of_a_body_at_once(self, client: ApiClient) -> None:
        order = {
            "amount": "1.005",
            "currency": "EUR",
            "description": "x" * 1001,
            "metadata": {"a": 1},
            "webhook_url": "https://10.0.0.1/x",
            "customer": "",
            "payment_method": "a b",
            "capture": "later",
            "colour": "red",
        }
        answer = client.create(order)
        assert code_of(answer) == (422, "validation_failed")
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [
            ("amount", "amount_places"),
            ("description", "text_too_long"),
            ("metadata.a", "not_a_string"),
            ("webhook_url", "webhook_address_not_allowed"),
            ("customer", "text_too_short"),
            ("payment_method", "payment_method_malformed"),
            ("capture", "not_an_option"),
            ("colour", "unknown_member"),
        ]

    @pytest.mark.parametrize(
        ("members", "codes"),
        [
            ({"amount": "x", "currency": "eur"}, ["amount_malformed", "currency_unsupported"]),
            ({"amount": "0", "currency": 1}, ["amount_not_positive", "not_a_string"]),
            ({"amount": "1.5", "webhook_url": "ftp://x"}, ["amount_places", "webhook_scheme_invalid"]),
            (
                {"amount": None, "currency": "XAU", "capture": "x"},
                ["amount_not_a_string", "currency_unsupported", "not_an_option"],
            ),
        ],
    )
    def test_names_faults_of_the_domain_beside_each_other(
        self, client: ApiClient, members: dict[str, Any], codes: list[str]
    ) -> None:
        assert [error["code"] for error in client.create({**ORDER, **members}).json()["errors"]] == codes

    def test_names_the_first_hundred_of_very_many_faults(self, client: ApiClient) -> None:
        answer = client.create({**ORDER, **{f"m{number}": 1 for number in range(10_000)}})
        assert code_of(answer) == (422, "validation_failed")
        assert len(answer.json()["errors"]) == 100
        assert "The first 100 of 10000 are listed." in answer.json()["detail"]

    def test_a_missing_content_type_means_json(self, client: ApiClient) -> None:
        headers = {"idempotency-key": str(uuid.uuid4())}
        body = json.dumps(ORDER).encode()
        assert client.request("POST", "/api/v1/payments", headers=headers, body=body).status == 202


class TestIdempotency:
    def test_a_repeated_request_gets_the_same_bytes_and_writes_nothing(
        self, client: ApiClient, database: Database
    ) -> None:
        first = client.create(FULL_ORDER, key="repeat")
        before = rows_written(database)
        again = client.create(FULL_ORDER, key='"repeat"')
        assert (again.status, again.body) == (first.status, first.body)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert rows_written(database) == before

    @pytest.mark.parametrize("name", SAME_REQUESTS)
    def test_the_same_request_in_other_bytes_is_a_replay(
        self, client: ApiClient, database: Database, name: str
    ) -> None:
        first = client.create(WRITTEN, key=f"same {name}".replace(" ", "-"))
        before = rows_written(database)
        again = client.create(SAME_REQUESTS[name], key=f"same {name}".replace(" ", "-"))
        assert (again.status, again.body) == (202, first.body)
        assert again.headers["idempotency-replayed"] == "true"
        assert rows_written(database) == before

    @settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(members=st.permutations(list(FULL_ORDER)), ascii_=st.booleans(), indent=st.none() | st.integers(0, 3))
    def test_any_order_and_spelling_of_the_members_is_the_same_request(
        self, client: ApiClient, members: list[str], ascii_: bool, indent: int | None
    ) -> None:
        first = client.create(FULL_ORDER, key="any-spelling")
        order = {name: FULL_ORDER[name] for name in members}
        text = json.dumps(order, ensure_ascii=ascii_, indent=indent)
        assert client.create(text.encode(), key="any-spelling").body == first.body

    @pytest.mark.parametrize(
        "change",
        [
            {"amount": "100.51"},
            {"currency": "EUR"},
            {"description": "Order #124"},
            {"description": ""},
            {"description": None},
            {"metadata": {"order_id": "124"}},
            {"metadata": {}},
            {"metadata": None},
            {"webhook_url": "http://127.0.0.1:8091/other"},
            {"customer": "customer"},
            {"payment_method": "tok_decline"},
            {"capture": "manual"},
        ],
    )
    def test_the_same_key_with_another_request_is_refused_and_names_the_payment(
        self, client: ApiClient, database: Database, change: dict[str, Any]
    ) -> None:
        first = client.create(FULL_ORDER, key="reused")
        before = rows_written(database)
        answer = client.create({**FULL_ORDER, **change}, key="reused")
        assert code_of(answer) == (422, "idempotency_key_reused")
        assert answer.headers["link"] == DESCRIBED
        assert answer.json()["payment_id"] == first.json()["payment_id"]
        assert answer.headers["location"] == first.headers["location"]
        assert "Read that payment first." in answer.json()["detail"]
        assert rows_written(database) == before

    def test_a_payment_that_has_moved_on_is_still_the_same_request(self, client: ApiClient, database: Database) -> None:
        first = client.create(WRITTEN, key="moved-on")
        database.run(_SETTLE, id=first.json()["payment_id"])
        assert client.create(SAME_REQUESTS["other order"], key="moved-on").body == first.body

    def test_an_accepted_request_is_repeated_although_a_rule_has_become_stricter(
        self, client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = client.create(WRITTEN, key="stricter")

        def refuse(*_: Any, **__: Any) -> None:
            raise InvalidInput("currency_unsupported", "The currency was withdrawn.", "currency")

        monkeypatch.setattr("paybridge.intake.order.to_minor", refuse)
        assert client.create(WRITTEN, key="stricter").body == first.body
        database.run(_CLEAR_ANSWER, id=first.json()["payment_id"])
        assert code_of(client.create(WRITTEN, key="stricter")) == (409, "idempotency_key_expired")
        assert code_of(client.create(WRITTEN + b" ", key="stricter")) == (422, "currency_unsupported")
        assert code_of(client.create(WRITTEN, key="never-used")) == (422, "currency_unsupported")
        assert code_of(client.create(WRITTEN, key="stricter", api_key=OTHER_KEY)) == (422, "currency_unsupported")

    def test_two_keys_in_one_header_are_refused(self, client: ApiClient, database: Database) -> None:
        before = rows_written(database)
        for header in ("k-7,k-7", "k-7, k-8", '"k-7","k-7"'):
            assert code_of(client.create(ORDER, headers={"idempotency-key": header})) == (400, "header_repeated")
        assert rows_written(database) == before

    def test_two_spellings_of_one_name_are_one_header_that_came_twice(
        self, client: ApiClient, database: Database
    ) -> None:
        before = rows_written(database)
        headers = {"X-Api-Key": MERCHANT_KEY, "Idempotency-Key": "a", "idempotency-key": "a"}
        event = http_event("POST", "/api/v1/payments", headers=headers, body=json.dumps(ORDER).encode())
        assert code_of(client.send(event)) == (400, "header_repeated")
        assert rows_written(database) == before

    @pytest.mark.parametrize("name", ["Idempotency-Key", "X-API-Key", "Content-Type"])
    def test_a_header_that_comes_twice_is_refused_in_every_shape_of_event(
        self, client: ApiClient, database: Database, name: str
    ) -> None:
        before = rows_written(database)
        headers = {"Idempotency-Key": ["k"], "X-API-Key": [MERCHANT_KEY], "Content-Type": ["application/json"]}
        headers[name] *= 2
        event = {
            "resource": "/{proxy+}",
            "path": "/api/v1/payments",
            "httpMethod": "POST",
            "headers": {one: values[-1] for one, values in headers.items()},
            "multiValueHeaders": headers,
            "requestContext": {"requestId": "r"},
            "body": json.dumps(ORDER),
            "isBase64Encoded": False,
        }
        balanced = {**event, "requestContext": {"elb": {}}}
        for shape in (event, {**event, "version": "1.0"}, balanced):
            response = client.send(shape)
            assert (response.status, response.json()["code"]) == (400, "header_repeated")
        assert rows_written(database) == before

    def test_each_merchant_has_separate_keys(self, client: ApiClient) -> None:
        mine = client.create(ORDER, key="shared").json()["payment_id"]
        theirs = client.create(ORDER, key="shared", api_key=OTHER_KEY)
        assert theirs.status == 202
        assert theirs.json()["payment_id"] != mine

    def test_a_refused_body_leaves_the_key_free(self, client: ApiClient) -> None:
        assert client.create({**ORDER, "amount": "1"}, key="corrected").status == 422
        assert client.create(ORDER, key="corrected").status == 202

    def test_a_missing_key_is_refused(self, client: ApiClient, database: Database) -> None:
        before = rows_written(database)
        answer = client.request("POST", "/api/v1/payments", body=json.dumps(ORDER).encode())
        assert code_of(answer) == (400, "idempotency_key_missing")
        assert answer.headers["link"] == DESCRIBED
        assert rows_written(database) == before

    def test_an_invalid_key_leads_to_the_documentation(self, client: ApiClient) -> None:
        answer = client.create(ORDER, key='"unterminated')
        assert code_of(answer) == (400, "idempotency_key_invalid")
        assert answer.headers["link"] == DESCRIBED
        assert client.get("/docs").status == 200

    def test_the_link_begins_with_the_path_of_a_custom_domain(self, client: ApiClient, database: Database) -> None:
        answer = api_client(database, root_path="/pay").request("POST", "/pay/api/v1/payments", body=b"{}")
        assert code_of(answer) == (400, "idempotency_key_missing")
        assert answer.headers["link"] == DESCRIBED.replace("/docs", "/pay/docs")

    def test_other_problems_have_no_link(self, client: ApiClient) -> None:
        answer = client.create({**ORDER, "amount": "1"})
        assert code_of(answer) == (422, "amount_places")
        assert "link" not in answer.headers

    def test_an_expired_answer_points_to_the_payment(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER, key="old")
        payment_id = created.json()["payment_id"]
        database.run(_CLEAR_ANSWER, id=payment_id)
        answer = client.create(ORDER, key="old")
        assert code_of(answer) == (409, "idempotency_key_expired")
        assert answer.json()["payment_id"] == payment_id
        assert answer.headers["location"] == created.headers["location"]
        assert answer.headers["link"] == DESCRIBED
        assert code_of(client.create({**ORDER, "amount": "2.00"}, key="old")) == (422, "idempotency_key_reused")

    def test_a_key_in_flight_is_a_409_with_retry_after(self, client: ApiClient, database: Database) -> None:
        first = client.create(ORDER, key="template-of-the-row")
        hold = Statement("""
            INSERT INTO idempotency_keys
            SELECT merchant_id, operation, 'in-flight', fingerprint, resource_id, response_status, response_body,
                   created_at
            FROM idempotency_keys WHERE resource_id = :id::uuid
        """)
        with database.transaction() as transaction:
            transaction.run(hold, id=first.json()["payment_id"])
            answer = client.create(ORDER, key="in-flight")
        assert code_of(answer) == (409, "idempotency_key_in_flight")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["link"] == DESCRIBED

    def test_fifty_concurrent_requests_create_one_payment(
        self, client: ApiClient, database: Database, database_address: DatabaseAddress
    ) -> None:
        before = rows_written(database)
        answers: list[Answer] = []
        barrier = threading.Barrier(50)

        def post() -> None:
            # Every thread is a Lambda environment with its application and its connection.
            with event_loop(), closing(Database(database_address)) as connection:
                environment = api_client(connection)
                connection.run(Statement("SELECT 1"))
                barrier.wait()
                answers.append(environment.create(ORDER, key="at-once"))

        threads = [threading.Thread(target=post) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = [answer for answer in answers if answer.status == 202]
        assert len({answer.body for answer in accepted}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in accepted) == 1
        assert {answer.status for answer in answers} <= {202, 409}
        assert len(answers) == 50
        assert rows_written(database) == [count + 1 for count in before]
        again = client.create(ORDER, key="at-once")
        assert again.body == accepted[0].body


class TestRead:
    @pytest.mark.parametrize(
        "payment_id",
        ["019acd00-0000-7000-8000-000000000000", "x", "%00", "{id}", "1" * 32, "urn:uuid:" + "1" * 32, "..", "é" * 36],
    )
    def test_an_unknown_id_is_a_404(self, client: ApiClient, payment_id: str) -> None:
        assert client.get(f"/api/v1/payments/{payment_id}").status == 404

    def test_an_id_in_capitals_is_the_same_payment(self, client: ApiClient) -> None:
        payment = client.create(ORDER).json()
        assert client.get(f"/api/v1/payments/{payment['payment_id'].upper()}").json() == payment

    def test_without_prefer_the_answer_comes_at_once(self, client: ApiClient) -> None:
        answer = client.get(client.create(ORDER).headers["location"])
        assert "preference-applied" not in answer.headers

    def test_prefer_wait_ends_when_the_payment_settles(
        self, client: ApiClient, database_address: DatabaseAddress
    ) -> None:
        created = client.create(ORDER)

        def settle() -> None:
            with closing(Database(database_address)) as connection:
                while not connection.run(_WAITING):
                    time.sleep(0.01)
                connection.run(_SETTLE, id=created.json()["payment_id"])

        thread = threading.Thread(target=settle)
        thread.start()
        started_at = time.perf_counter()
        answer = client.get(created.headers["location"], headers={"prefer": "wait=20"})
        waited_seconds = time.perf_counter() - started_at
        thread.join()
        assert answer.json()["status"] == "failed"
        assert answer.headers["preference-applied"] == "wait=20"
        assert waited_seconds < 15

    def test_prefer_wait_ends_after_its_seconds(self, client: ApiClient) -> None:
        created = client.create(ORDER)
        started_at = time.perf_counter()
        answer = client.get(created.headers["location"], headers={"prefer": "wait=1"})
        assert answer.json() == created.json()
        assert 0.9 < time.perf_counter() - started_at < 15

    def test_beyond_the_limit_of_waits_the_answer_comes_at_once(
        self, client: ApiClient, database: Database, database_address: DatabaseAddress
    ) -> None:
        created, other = client.create(ORDER), client.create(ORDER)
        waited: list[Answer] = []

        def wait() -> None:
            path = created.headers["location"]
            with event_loop(), closing(Database(database_address)) as connection:
                waited.append(api_client(connection, waits_max=1).get(path, headers={"prefer": "wait=20"}))

        thread = threading.Thread(target=wait)
        thread.start()
        while not database.run(_WAITING):
            time.sleep(0.01)
        path, limited = other.headers["location"], api_client(database, waits_max=1)
        started_at = time.perf_counter()
        refused = limited.get(path, headers={"prefer": "wait=20"})
        assert time.perf_counter() - started_at < 10
        database.run(_SETTLE, id=created.json()["payment_id"])
        thread.join()
        assert (refused.status, "preference-applied" in refused.headers) == (200, False)
        assert waited[0].headers["preference-applied"] == "wait=20"
        # The first wait has released its slot early.
        assert limited.get(path, headers={"prefer": "wait=1"}).headers["preference-applied"] == "wait=1"

    def test_a_settled_payment_needs_no_wait(self, database: Database, client: ApiClient) -> None:
        created = client.create(ORDER)
        database.run(_SETTLE, id=created.json()["payment_id"])
        answer = client.get(created.headers["location"], headers={"prefer": "wait=5"})
        assert answer.headers["preference-applied"] == "wait=5"
        assert database.run(_WAITING) == []


class TestList:
    def pages(self, client: ApiClient, **query: Any) -> list[list[dict[str, Any]]]:
        """Return all pages of a list."""
        found: list[list[dict[str, Any]]] = []
        cursor: dict[str, str] = {}
        while True:
            page = client.get("/api/v1/payments", query={**query, **cursor}).json()
            found.append(page["data"])
            assert page["has_more"] == (page["next_cursor"] is not None)
            if not page["has_more"]:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def test_pages_show_every_payment_once_newest_first(self, client: ApiClient) -> None:
        made = [client.create({**ORDER, "customer": "pages"}).json() for _ in range(7)]
        pages = self.pages(client, customer="pages", limit=3)
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [payment for page in pages for payment in page] == made[::-1]

    def test_a_full_last_page_has_no_next_page(self, client: ApiClient) -> None:
        for _ in range(2):
            client.create({**ORDER, "customer": "full"})
        assert [len(page) for page in self.pages(client, customer="full", limit=2)] == [2]

    @pytest.mark.parametrize("letter", ["支", "ж", "😀", '"', "\\", "\u0001", "a"])
    def test_a_page_fits_into_an_answer_of_lambda(self, client: ApiClient, letter: str) -> None:
        """The longest that the API takes in each place. Lambda refuses more than 6 MB, as JSON in ASCII."""
        customer = f"large {ord(letter)}"
        metadata = {f"key-{n:02}": letter * 500 for n in range(50)}
        large = {**ORDER, "metadata": metadata, "description": letter * 1000, "customer": customer}
        body = json.dumps(large, ensure_ascii=False).encode()
        made = [client.create(body) for _ in range(40)]
        assert {answer.status for answer in made} == {202}
        seen: list[str] = []
        cursor = ""
        while True:
            event = http_event(
                "GET",
                "/api/v1/payments",
                headers={"x-api-key": MERCHANT_KEY},
                query={"customer": customer, "limit": 100, "cursor": cursor},
            )
            response = client._handler(event, None)
            assert response["statusCode"] == 200
            assert len(json.dumps(response)) < 6 * 1024 * 1024
            page = json.loads(response["body"])
            seen += [payment["payment_id"] for payment in page["data"]]
            if not page["has_more"]:
                break
            cursor = page["next_cursor"]
        assert seen == [answer.json()["payment_id"] for answer in reversed(made)]

    def test_new_payments_do_not_shift_the_pages(self, client: ApiClient) -> None:
        made = [client.create({**ORDER, "customer": "moving"}).json()["payment_id"] for _ in range(3)]
        first = client.get("/api/v1/payments", query={"customer": "moving", "limit": 2}).json()
        client.create({**ORDER, "customer": "moving"})
        query = {"customer": "moving", "limit": 2, "cursor": first["next_cursor"]}
        assert [payment["payment_id"] for payment in client.get("/api/v1/payments", query=query).json()["data"]] == [
            made[0]
        ]

    def test_filters_by_status_currency_and_time(self, client: ApiClient, database: Database) -> None:
        tag = {"customer": "filters"}
        yen = client.create({"amount": "100", "currency": "JPY", **tag}).json()
        failed = client.create({**ORDER, **tag}).json()
        database.run(_SETTLE, id=failed["payment_id"])
        moment = "2026-01-02T03:04:05+00:00"

        def ids(**query: str) -> list[str]:
            data = client.get("/api/v1/payments", query={**tag, **query}).json()["data"]
            return [payment["payment_id"] for payment in data]

        assert ids(currency="JPY") == [yen["payment_id"]]
        assert ids(status="failed") == [failed["payment_id"]]
        assert ids(status="succeeded") == []
        assert ids(created_from=yen["created_at"]) == [failed["payment_id"], yen["payment_id"]]
        assert ids(created_from=failed["created_at"]) == [failed["payment_id"]]
        assert ids(created_to=failed["created_at"]) == [yen["payment_id"]]
        assert ids(created_to=moment) == []

    def test_a_time_with_an_unescaped_plus_is_accepted(self, client: ApiClient) -> None:
        answer = client.get("/api/v1/payments", query={"created_from": "2026-01-02T03:04:05 00:00"})
        assert answer.status == 200

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": "0"},
            {"limit": "101"},
            {"limit": "1_0"},
            {"limit": " 5"},
            {"limit": "x"},
            {"status": "paid"},
            {"currency": "rub"},
            {"created_from": "2026-01-02"},
            {"created_from": "1700000000"},
            {"created_to": "2026-01-02T03:04:05"},
            {"created_to": "2026-13-02T03:04:05Z"},
            {"customer": "\x00"},
            {"customer": "x" * 256},
            {"cursor": "x"},
            {"cursor": "x" * 100},
            {"statuss": "failed"},
        ],
    )
    def test_an_invalid_parameter_is_a_422(self, client: ApiClient, query: dict[str, str]) -> None:
        answer = client.get("/api/v1/payments", query=query)
        assert answer.status == 422
        assert [error["field"] for error in answer.json()["errors"]] == list(query)

    def test_a_cursor_does_not_fit_another_list(self, client: ApiClient) -> None:
        for _ in range(2):
            client.create({**ORDER, "customer": "cursor"})
        cursor = client.get("/api/v1/payments", query={"customer": "cursor", "limit": 1}).json()["next_cursor"]
        assert code_of(client.get("/api/v1/payments", query={"limit": 1, "cursor": cursor})) == (422, "cursor_invalid")


class TestIsolation:
    @pytest.mark.parametrize("suffix", ["", "/events"])
    def test_a_payment_is_invisible_to_other_merchants(self, client: ApiClient, suffix: str) -> None:
        path = client.create(ORDER).headers["location"] + suffix
        assert client.get(path).status == 200
        theirs = client.get(path, api_key=OTHER_KEY)
        assert code_of(theirs) == (404, "payment_not_found")
        assert client.get(path, headers={"prefer": "wait=1"}, api_key=OTHER_KEY).status == 404

    def test_a_list_holds_the_payments_of_one_merchant(self, client: ApiClient) -> None:
        mine = client.create({**ORDER, "customer": "isolated"}).json()["payment_id"]
        theirs = client.create({**ORDER, "customer": "isolated"}, api_key=OTHER_KEY).json()["payment_id"]
        for key, expected in (("secret-api-key", mine), (OTHER_KEY, theirs)):
            data = client.get("/api/v1/payments", query={"customer": "isolated"}, api_key=key).json()["data"]
            assert [payment["payment_id"] for payment in data] == [expected]
