"""The management API over TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from paybridge.core.errors import BrokerUnavailable, RotationRefused
from paybridge.secrets.broker_users import BrokerUsers
from paybridge.secrets.ports import Login
from tests.support.tls import self_signed, server_context


class NoUsers(BaseHTTPRequestHandler):
    """Answers as RabbitMQ does without the user."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    path.write_bytes(self_signed("localhost"))
    return path


@pytest.fixture
def management_url(certificate: Path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), NoUsers)
    server.socket = server_context(certificate).wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


def change_at(management_url: str) -> None:
    users = BrokerUsers(management_url, Login("admin", "p"), lambda _: "")
    users.change(Login("paybridge", "p"), Login("paybridge-b", "p"))


class TestTls:
    def test_an_authority_of_the_machine_is_trusted(
        self, management_url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(RotationRefused, match="no user paybridge-b"):
            change_at(management_url)

    def test_an_unknown_certificate_is_refused(self, management_url: str) -> None:
        with pytest.raises(BrokerUnavailable, match="ConnectError"):
            change_at(management_url)
