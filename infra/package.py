"""`make package`: build functions and layers for Lambda's processor with SAM, and report their sizes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import IO, cast

from infra import certificates
from infra.built import ARCHITECTURES, LAYERS, PROJECT, RDS_CERTIFICATES, Built
from infra.errors import InputMissingError

SAM = PROJECT / ".venv-sam/bin/sam"
# Lambda's limit for a function and its layers together, unpacked.
UNPACKED_BYTES_MAX = 250 * 1024 * 1024
_MIB = 1024 * 1024


def main() -> int:
    """Build and return the exit status. Print why a build is impossible on standard error."""
    try:
        build(os.environ.get("PAYBRIDGE_ARCHITECTURE") or ARCHITECTURES[0])
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(architecture: str) -> None:
    """Build into .aws-sam/build. Raises InputMissingError."""
    _check_tools(architecture)
    _fetch_certificates()
    began = time.monotonic()
    print(f"Building functions and layer for {architecture} (half a minute, most of it for pip)", flush=True)
    command = [str(SAM), "build", "--parameter-overrides", f"Architecture={architecture}"]
    environment = {
        **os.environ,
        "PAYBRIDGE_ARCHITECTURE": architecture,
        # This interpreter's pip downloads the layer's wheels. The python on PATH may have no pip.
        "PYTHON": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
    }
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.stderr.write(result.stdout + result.stderr)
        raise InputMissingError("SAM could not build the package: see its output above.")
    print(f"Built in {time.monotonic() - began:.0f} s.\n")
    report(Built(), architecture)


def report(built: Built, architecture: str) -> None:
    """Print the package's sizes. Raises InputMissingError if Lambda would refuse it."""
    if built.architecture() != architecture:
        raise InputMissingError(
            f"The libraries are for {built.architecture()}, not for {architecture}: run `make package` again."
        )
    layers = [built.folder / name for name in LAYERS]
    largest = 0
    for folder in [*(built.folder / name for name in built.functions()), *layers]:
        unpacked, packed = sizes(folder)
        # The function `archive` has both layers.
        largest = largest + unpacked if folder in layers else max(largest, unpacked)
        print(f"  {folder.name:<20} {_text(unpacked):>10} unpacked, {_text(packed):>8} to upload")
    if largest > UNPACKED_BYTES_MAX:
        raise InputMissingError(
            f"A function and its layers have {largest / _MIB:.0f} MiB, but Lambda takes 250: remove a library."
        )
    print(f"\n{_certificates(built)}\nNext: make deploy ENVIRONMENT=dev")


def sizes(folder: Path) -> tuple[int, int]:
    """Return the bytes of a folder's files, and of the archive uploaded to Lambda."""
    unpacked = 0
    counter = _Counter()
    with zipfile.ZipFile(cast("IO[bytes]", counter), "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                unpacked += path.stat().st_size
                archive.write(path, path.relative_to(folder))
    return unpacked, counter.written


class _Counter:
    """A file that only counts the bytes written to it."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> int:
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""


def _text(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB" if size_bytes >= _MIB else f"{size_bytes / 1024:.0f} KiB"


def _check_tools(architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        raise InputMissingError(f"PAYBRIDGE_ARCHITECTURE is {architecture!r}: set it to arm64 or x86_64.")
    if not SAM.is_file():
        raise InputMissingError("The SAM command line is missing: `make package` installs it into .venv-sam.")
    if importlib.util.find_spec("pip") is None:
        raise InputMissingError(
            "pip is missing and has to download the layer's wheels: delete .venv and run this again."
        )


def _fetch_certificates() -> None:
    """Download the RDS certificates if they are missing. An offline build continues without them and says so."""
    if not certificates.FILE.exists():
        try:
            certificates.fetch(os.environ.get(certificates.URL_VARIABLE) or certificates.URL, certificates.FILE)
        except InputMissingError as error:
            print(error)


def _certificates(built: Built) -> str:
    if built.has_rds_certificates():
        return f"With Amazon's RDS certificates: {RDS_CERTIFICATES}."
    return "Without Amazon's RDS certificates: before a deployment to AWS run `make certificates package`."


if __name__ == "__main__":
    sys.exit(main())
