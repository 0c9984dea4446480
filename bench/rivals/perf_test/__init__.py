"""Run PerfTest, RabbitMQ's load generator in Java: one producer, persistent messages, confirms.

It has no database, so its rate is the upper limit. Maven downloads it once into the project's cache.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from bench.results import Say

VERSION = "2.22.1"
POM = Path(__file__).with_name("pom.xml")
SECONDS = 6
# Until then Java is still compiling its code.
WARM_UP_SECONDS = 2
CONFIRM_WINDOW = 1_000
FETCH_SECONDS_MAX = 180

_CONFIRMED = re.compile(r"confirmed: ([\d.]+) msg/s")


def fetch(cache: Path, say: Say) -> Path | str:
    """Return the folder with its jars, or a sentence that says why PerfTest is left out."""
    jars = cache / f"perf-test-{VERSION}"
    if shutil.which("java") is None:
        return "PerfTest was left out: there is no Java."
    if jars.is_dir():
        return jars
    if shutil.which("mvn") is None:
        return "PerfTest was left out: there is no Maven to fetch it."
    say(f"fetching PerfTest {VERSION}, once")
    # Download into another folder and rename it, so that an existing folder is complete. `-C` checks checksums.
    unfinished = jars.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    if not _succeeds([*command, f"-DoutputDirectory={unfinished}"]):
        return "PerfTest was left out: Maven could not fetch it."
    unfinished.rename(jars)
    return jars


def publisher(jars: Path, amqp_url: str, exchange: str, queue: str, body_bytes: int) -> Callable[[], float]:
    """Return a run of one producer. It returns the confirmed messages per second after the warm-up."""
    java = ["java", "-cp", str(jars / "*"), "com.rabbitmq.perf.PerfTest", "--uri", amqp_url]
    place = ["--predeclared", "--exchange", exchange, "--routing-key", queue, "--queue", queue]
    load = ["--producers", "1", "--consumers", "0", "--confirm", str(CONFIRM_WINDOW), "--size", str(body_bytes)]
    command = [*java, *place, *load, "--flag", "persistent", "--time", str(SECONDS)]

    def run() -> float:
        output = subprocess.run(command, capture_output=True, text=True, check=False)
        rates = [float(rate) for rate in _CONFIRMED.findall(output.stdout)]
        if output.returncode != 0 or len(rates) <= WARM_UP_SECONDS:
            raise RuntimeError(f"PerfTest failed: {output.stdout}{output.stderr}")
        return mean(rates[WARM_UP_SECONDS:])

    return run


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=FETCH_SECONDS_MAX, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
