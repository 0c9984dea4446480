"""Say why the functions are not ready: what the API answers, and the last error in their logs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ANSWER_SECONDS_MAX = 35
ANSWER_BYTES_MAX = 1_000
# The end of a log that is searched. A function that cannot start repeats its error with every invocation.
LOG_BYTES_MAX = 1_000_000
ERROR_LEVELS = {"ERROR", "CRITICAL"}
# The members of an error's line that say what is wrong. Lambda's runtime uses the last two.
REASONS = ("message", "error_type", "cause", "error", "reason", "exception", "errorMessage", "errorType")


def why_not_ready(api_url: str, logs: Iterable[Path]) -> str:
    """Return the answer of /health/ready and the last error in the logs, as sentences."""
    sentences = [f"{api_url}/health/ready {_ask(api_url)}"]
    last = max(filter(None, map(_last_error, logs)), default=None)
    if last is not None:
        _, text, log = last
        sentences.append(f"The last error, in {log}: {text}")
    return "\n".join(sentences)


def _ask(api_url: str) -> str:
    parts = urlsplit(api_url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return f"answers {answer.status}: {str(answer.read(ANSWER_BYTES_MAX), errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({type(error).__name__})."
    finally:
        connection.close()


def _last_error(log: Path) -> tuple[str, str, str] | None:
    """Return the time, the text and the file of the last error in a log, None if it has none."""
    for line in reversed(_tail(log)):
        record = _record_in(line)
        if record.get("level") in ERROR_LEVELS or "errorType" in record:
            reasons = [str(record[name]) for name in REASONS if record.get(name)]
            return str(record.get("timestamp", "")), ": ".join(reasons), str(log)
    return None


def _tail(log: Path) -> list[str]:
    if not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES_MAX))
        return str(file.read(), errors="replace").splitlines()


def _record_in(line: str) -> dict[str, Any]:
    """Return the JSON object of a line, which may begin with a container's time, empty if there is none."""
    try:
        record = json.loads(line[line.index("{") :])
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
