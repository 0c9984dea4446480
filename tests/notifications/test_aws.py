"""Amazon SES and SNS: a real moto server, and endpoints that misbehave as only a network does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parseaddr
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import MetadataRetrievalError

from local.servers import aws, moto
from local.servers.processes import Processes, free_port
from local.settings import AWS_KEYS, AWS_REGION, LocalSettings
from local.testkit.notifications import EMAIL, NOTIFICATION, PHONE, SENDER
from local.testkit.servers import private_settings
from paybridge.notifications import aws as limits
from paybridge.notifications.aws import answer_to
from paybridge.notifications.domain.answers import Accepted, Answer, NotSent, OutcomeUnclear
from paybridge.notifications.domain.mail import build_mail
from paybridge.notifications.ses import SesEmailSender
from paybridge.notifications.sns import SnsSmsSender

pytestmark = pytest.mark.integration

MAIL = f"From: {SENDER}\r\nTo: {EMAIL}\r\nSubject: Hello\r\n\r\nHello.\r\n".encode()


@pytest.fixture(scope="module")
def moto_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    """A running moto server, in which the sender's address is verified."""
    settings = private_settings(tmp_path_factory.mktemp("moto"))
    processes = Processes(settings.state_dir)
    moto.start(settings, processes)
    aws.client(settings, "sesv2").create_email_identity(EmailIdentity=SENDER)
    # moto loads a service at its first request, which may take longer than the product waits for an answer.
    aws.client(settings, "sns").list_topics()
    yield settings
    processes.stop()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what points boto3 at an endpoint."""
    for name, value in {**AWS_KEYS, "AWS_REGION": AWS_REGION, "AWS_DEFAULT_REGION": AWS_REGION}.items():
        monkeypatch.setenv(name, value)
    return lambda url: monkeypatch.setenv("AWS_ENDPOINT_URL", url)


class Misbehaving(ThreadingHTTPServer):
    """Answers every request in one way, and counts them."""

    daemon_threads = True

    def __init__(self, status: int, body: str, content_type: str) -> None:
        self.requests: list[str] = []
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.requests.append(self.path)
                self.rfile.read(int(self.headers["Content-Length"]))
                if status == 0:
                    server.released.wait(20)
                    return
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()


def sns_error(status: int, code: str) -> Misbehaving:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return Misbehaving(status, body, "text/xml")


def ses_error(status: int, code: str) -> Misbehaving:
    return Misbehaving(status, json.dumps({"__type": code, "message": "no"}), "application/json")


def given(settings: LocalSettings) -> Any:
    return httpx.get(f"{settings.aws_url}/moto-api/data.json", trust_env=False, timeout=30).json()


class TestSesEmailSender:
    @pytest.mark.parametrize(
        "name", ["Acme, Inc.", "Acme\r\nBcc: thief@example.com", "=?utf-8?q?=0ABcc:_a@b.example?="]
    )
    def test_a_message_arrives_at_its_one_recipient(
        self, moto_settings: LocalSettings, endpoint: Any, name: str
    ) -> None:
        """moto sends to every address that a header names, as a mail server that reads headers does."""
        endpoint(moto_settings.aws_url)
        content = build_mail(replace(NOTIFICATION, recipient=name, title=name), SENDER, datetime.now(UTC))
        answer = SesEmailSender().send(SENDER, EMAIL, content)
        assert isinstance(answer, Accepted)
        (message,) = [each for each in given(moto_settings)["ses"]["RawMessage"] if each["id"] == answer.message_id]
        assert {parseaddr(each)[1] for each in message["destinations"]} == {EMAIL}
        assert len(message["destinations"]) == 2

    def test_a_sender_that_is_not_verified_is_tried_again(self, moto_settings: LocalSettings, endpoint: Any) -> None:
        endpoint(moto_settings.aws_url)
        assert SesEmailSender().send("other@elsewhere.example", EMAIL, MAIL) == NotSent("MessageRejected")

    @pytest.mark.parametrize(
        ("status", "code", "answer"),
        [
            (400, "BadRequestException", NotSent("BadRequestException", is_permanent=True)),
            (429, "TooManyRequestsException", NotSent("TooManyRequestsException", is_outage=True)),
            (400, "SendingPausedException", NotSent("SendingPausedException", is_outage=True)),
            (403, "AccessDeniedException", NotSent("AccessDeniedException", is_outage=True)),
            (500, "InternalFailure", OutcomeUnclear("InternalFailure")),
        ],
    )
    def test_an_error_says_whether_the_message_was_taken(
        self, endpoint: Any, status: int, code: str, answer: Answer
    ) -> None:
        with ses_error(status, code) as server:
            endpoint(f"http://127.0.0.1:{server.server_port}")
            assert SesEmailSender().send(SENDER, EMAIL, MAIL) == answer
        assert len(server.requests) == 1


class TestSnsSmsSender:
    def test_a_text_arrives_at_its_number(self, moto_settings: LocalSettings, endpoint: Any) -> None:
        endpoint(moto_settings.aws_url)
        answer = SnsSmsSender("Paybridge").send(PHONE, "Zahlung über 100,50 €")
        assert isinstance(answer, Accepted)
        sent = json.dumps(given(moto_settings)["sns"], ensure_ascii=False)
        assert answer.message_id in sent
        assert PHONE in sent
        assert "Zahlung über 100,50 €" in sent

    @pytest.mark.parametrize(
        ("status", "code", "answer"),
        [
            (400, "OptedOut", NotSent("OptedOut", is_permanent=True)),
            (400, "InvalidParameter", NotSent("InvalidParameter", is_permanent=True)),
            (400, "Throttling", NotSent("Throttling", is_outage=True)),
            (403, "AuthorizationError", NotSent("AuthorizationError", is_outage=True)),
            (500, "InternalError", OutcomeUnclear("InternalError")),
            (503, "ServiceUnavailable", OutcomeUnclear("ServiceUnavailable")),
        ],
    )
    def test_an_error_says_whether_the_text_was_taken(
        self, endpoint: Any, status: int, code: str, answer: Answer
    ) -> None:
        with sns_error(status, code) as server:
            endpoint(f"http://127.0.0.1:{server.server_port}")
            assert SnsSmsSender("").send(PHONE, "Hello") == answer
        assert len(server.requests) == 1

    def test_an_answer_that_is_lost_is_unclear_and_the_call_is_not_repeated(
        self, endpoint: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "READ_SECONDS_MAX", 0.3)
        with Misbehaving(0, "", "") as server:
            endpoint(f"http://127.0.0.1:{server.server_port}")
            assert SnsSmsSender("").send(PHONE, "Hello") == OutcomeUnclear("ReadTimeoutError")
            assert len(server.requests) == 1

    def test_a_connection_that_breaks_is_unclear(self, endpoint: Any) -> None:
        with Misbehaving(0, "", "") as server:
            server.released.set()
            endpoint(f"http://127.0.0.1:{server.server_port}")
            assert SnsSmsSender("").send(PHONE, "Hello") == OutcomeUnclear("ConnectionClosedError")
            assert len(server.requests) == 1

    def test_nothing_is_sent_where_nothing_listens(self, endpoint: Any) -> None:
        endpoint(f"http://127.0.0.1:{free_port()}")
        assert SnsSmsSender("").send(PHONE, "Hello") == NotSent("EndpointConnectionError", is_outage=True)

    def test_nothing_is_sent_without_a_login(
        self, endpoint: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        endpoint("http://127.0.0.1:9")
        for name in AWS_KEYS:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        assert SnsSmsSender("").send(PHONE, "Hello") == NotSent("NoCredentialsError", is_outage=True)

    @pytest.mark.parametrize(
        ("variable", "value", "error"),
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9", "CredentialRetrievalError"),
            ("AWS_PROFILE", "none", "ProfileNotFound"),
            ("AWS_ENDPOINT_URL", "not a url", "ValueError"),
            ("AWS_REGION", "", "NoRegionError"),
        ],
    )
    def test_nothing_is_sent_where_the_call_cannot_be_made(
        self,
        endpoint: Any,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        variable: str,
        value: str,
        error: str,
    ) -> None:
        with Misbehaving(500, "", "text/xml") as server:
            endpoint(f"http://127.0.0.1:{server.server_port}")
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
            for name in AWS_KEYS if variable.startswith("AWS_CONTAINER") else ():
                monkeypatch.delenv(name)
            monkeypatch.setenv(variable, value)
            if variable == "AWS_REGION":
                monkeypatch.delenv("AWS_DEFAULT_REGION")
            assert SnsSmsSender("").send(PHONE, "Hello") == NotSent(error, is_outage=True)
            assert SesEmailSender().send(SENDER, EMAIL, MAIL) == NotSent(error, is_outage=True)
        assert server.requests == []

    def test_an_instance_without_credentials_sends_nothing(self) -> None:
        error = MetadataRetrievalError(error_msg="no answer")
        assert answer_to(error, ()) == NotSent("MetadataRetrievalError", is_outage=True)
