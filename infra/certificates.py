"""`make certificates`: download the RDS authorities, for rotation and for a database without RDS Proxy."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

import httpx

from infra.built import CERTIFICATES, PROJECT
from infra.errors import InputMissingError

# All regions of the partition `aws`. China and GovCloud have other bundles: set the variable to their URL.
URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
URL_VARIABLE = "RDS_CERTIFICATES_URL"
FILE = PROJECT / CERTIFICATES / "rds.pem"
TIMEOUT_SECONDS = 20


def main() -> int:
    """Download the bundle and return the exit status. Print why it failed on standard error."""
    try:
        count = fetch(os.environ.get(URL_VARIABLE) or URL, FILE)
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count} RDS authorities in {FILE.relative_to(PROJECT)}: build again (`make package`).")
    return 0


def fetch(url: str, file: Path) -> int:
    """Download the bundle and return its number of authorities. Raises InputMissingError and leaves the file."""
    try:
        # Trust the machine's authorities: they include those of a company's proxy.
        tls = ssl.create_default_context()
        response = httpx.get(url, timeout=TIMEOUT_SECONDS, follow_redirects=True, verify=tls).raise_for_status()
        bundle = response.content.decode("ascii", errors="ignore")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputMissingError(
            f"{url} does not answer ({error}): download it on a machine with internet access and put it at {file}, "
            f"or set {URL_VARIABLE} to another URL."
        ) from error
    count = _authorities(bundle)
    if not count:
        raise InputMissingError(
            f"{url} did not return RDS authorities. {file} is unchanged: set {URL_VARIABLE} to the right URL."
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    # Rename at the end: a package built from half a bundle would look complete.
    whole = file.with_suffix(".part")
    whole.write_text(bundle, encoding="ascii")
    whole.replace(file)
    return count


def _authorities(bundle: str) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError):
        return 0
    authorities = context.get_ca_certs()
    return len(authorities) if "Amazon RDS" in str(authorities) else 0


if __name__ == "__main__":
    sys.exit(main())
