"""What is said of functions that do not become ready."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from local.servers.processes import free_port
from local.stack.readiness import why_not_ready

BODY = b'{"detail":"Not ready: database."}'


class Api(BaseHTTPRequestHandler):
    """An API that is not ready."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/health/ready" else 404)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def api_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "ApiFunction.log"


def line(level: str, message: str, second: int, **more: str) -> str:
    return json.dumps({"level": level, "message": message, "timestamp": f"2026-11-28T10:00:{second:02}+00:00", **more})


class TestWhyNotReady:
    def test_is_the_answer_and_the_last_error_of_all_logs(self, api_url: str, log: Path) -> None:
        other = log.with_name("JobsFunction.log")
        older, newer = line("ERROR", "first", 1), line("ERROR", "cannot start", 5, error_type="SettingsInvalid")
        log.write_text("\n".join([older, newer, line("INFO", "later", 9), "no JSON {", "[1]"]))
        other.write_text(line("ERROR", "in between", 3))
        assert why_not_ready(api_url, [log, other, log.with_name("missing.log")]).splitlines() == [
            f"{api_url}/health/ready answers 503: {BODY.decode()}",
            f"The last error, in {log}: cannot start: SettingsInvalid",
        ]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('{"errorMessage": "No module", "errorType": "Runtime.ImportModuleError"}', "No module: Runtime.Import"),
            ("2026-11-28T10:00:00 " + line("CRITICAL", "broken", 1, error="AccessDenied"), "broken: AccessDenied"),
        ],
    )
    def test_reads_lines_of_the_runtime_and_of_containers(
        self, api_url: str, log: Path, text: str, reason: str
    ) -> None:
        log.write_text(f"{text}\n")
        assert f"The last error, in {log}: {reason}" in why_not_ready(api_url, [log])

    def test_says_that_nothing_answers_and_nothing_else_without_an_error(self, log: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        log.write_text(line("INFO", "processed payments", 1))
        assert why_not_ready(url, [log]) == f"{url}/health/ready does not answer (ConnectionRefusedError)."
