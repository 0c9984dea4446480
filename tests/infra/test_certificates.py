"""Download the RDS authorities from a local server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra import certificates
from infra.errors import InputMissingError
from local.servers.processes import free_port
from tests.support.tls import authority


@contextmanager
def serving(content: bytes) -> Iterator[str]:
    """Serve the content at every path and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/bundle.pem"
        server.shutdown()
        thread.join()


class TestFetch:
    def test_keeps_a_bundle_of_rds_and_counts_its_authorities(self, tmp_path: Path) -> None:
        file = tmp_path / "certificates/rds.pem"
        bundle = authority("Amazon RDS eu-central-1 Root CA ECC384 G1") + authority("Amazon RDS us-east-1 Root CA")
        with serving(bundle) as url:
            assert certificates.fetch(url, file) == 2
        assert file.read_bytes() == bundle

    @pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"\xff\xfe", b"", authority("Somebody else")])
    def test_something_else_is_refused_and_the_file_stays(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "rds.pem"
        file.write_text("before")
        with serving(content) as url, pytest.raises(InputMissingError, match="did not return RDS authorities"):
            certificates.fetch(url, file)
        assert file.read_text() == "before"

    @pytest.mark.parametrize("url", ["nowhere", "http://", "http://host name/"])
    def test_an_invalid_address_is_reported(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(InputMissingError, match="set RDS_CERTIFICATES_URL to another URL"):
            certificates.fetch(url, tmp_path / "rds.pem")

    def test_offline_the_error_says_where_to_put_the_file(self, tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}/bundle.pem"
        with pytest.raises(
            InputMissingError, match=r"put it at .*/rds\.pem, or set RDS_CERTIFICATES_URL to another URL"
        ):
            certificates.fetch(url, tmp_path / "rds.pem")
