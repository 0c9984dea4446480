"""`python -m bench.load`: put a load at a fixed rate on a stack with Locust. Usually run as `make load`.

The environment has RATE, DURATION, URL, API_KEY, ARRIVALS and UI. See docs/developers/load.md.
"""

from __future__ import annotations

import os
import sys

import httpx

from local.errors import LocalError
from local.servers.processes import running
from local.servers.progress import use_utf8
from local.settings import PROJECT, LocalSettings
from local.stack.seed import DEMO_API_KEY

LOCUSTFILE = PROJECT / "bench" / "locustfile.py"
UI_PORT = 8089


def main() -> int:
    """Replace this process by Locust. Return 1 if a setting is wrong or no stack answers."""
    use_utf8()
    try:
        command, environment = locust(os.environ)
        # Locust takes over this process and its terminal.
        os.execve(command[0], command, environment)  # noqa: S606
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1


def locust(given: os._Environ[str] | dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return Locust's command line and environment. Raises LocalError for a wrong value or without a stack."""
    settings = LocalSettings.load()
    url = (given.get("URL") or settings.api_url).rstrip("/")
    rate, seconds = _number(given, "RATE", 50), _number(given, "DURATION", 60)
    spread = given.get("ARRIVALS") or "poisson"
    if spread not in {"poisson", "even"}:
        raise LocalError(f"ARRIVALS is {spread!r}: choose poisson or even.")
    _ensure_answers(url)
    # Only the offline stack lets this process query its gateway and sink.
    is_local = url == settings.api_url and bool(running(settings.state_dir))
    oracles = {"LOAD_GATEWAY_URL": settings.gateway_url, "LOAD_SINK_URL": settings.sink_url} if is_local else {}
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", url, "--users", "1"]
    command += ["--rate", f"{rate:g}", "--arrivals", spread, "--run-time", f"{seconds:g}s", "--stop-timeout", "70"]
    command += ["--loglevel", "WARNING"]
    if given.get("UI"):
        print(f"The load's page: http://127.0.0.1:{UI_PORT} (Ctrl-C ends it)", flush=True)
        command += ["--web-host", "127.0.0.1", "--web-port", str(UI_PORT)]
    else:
        command += ["--headless", "--only-summary"]
    api_key = given.get("API_KEY") or DEMO_API_KEY
    return command, {**given, **oracles, "LOAD_API_KEY": api_key}


def _number(given: os._Environ[str] | dict[str, str], name: str, default: float) -> float:
    text = given.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise LocalError(f"{name} is {text!r}, which is not a number above 0: correct it.")
    return value


def _ensure_answers(url: str) -> None:
    try:
        httpx.get(f"{url}/health", timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        raise LocalError(f"No stack answers at {url}: run `make up` first, or set URL=… to another stack.") from None


if __name__ == "__main__":
    raise SystemExit(main())
