"""`make certificates`: fetches the authorities of RDS, for rotation and for a database without RDS Proxy."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

import httpx

from infra.built import CERTIFICATES, PROJECT
from infra.errors import InputMissingError

# All regions of the partition `aws`. China and GovCloud have bundles of their own, which the variable names.
URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
URL_VARIABLE = "RDS_CERTIFICATES_URL"
FILE = PROJECT / CERTIFICATES / "rds.pem"
TIMEOUT_SECONDS = 20


def main() -> int:
    """Returns the exit status; a reason why nothing was fetched is one sentence on standard error."""
    try:
        count = fetch(os.environ.get(URL_VARIABLE) or URL, FILE)
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{count} authorities of RDS in {FILE.relative_to(PROJECT)}: build again (`make package`).")
    return 0


def fetch(url: str, file: Path) -> int:
    """Fetches the bundle and gives the number of its authorities. Raises InputMissingError; the file then stays."""
    try:
        # The machine's own authorities, which include those of a company's proxy.
        tls = ssl.create_default_context()
        response = httpx.get(url, timeout=TIMEOUT_SECONDS, follow_redirects=True, verify=tls).raise_for_status()
        bundle = response.content.decode("ascii", errors="ignore")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputMissingError(
            f"{url} does not answer ({error}): fetch it on a machine with internet and put it at {file}, "
            f"or name another place by {URL_VARIABLE}."
        ) from error
    count = _authorities(bundle)
    if not count:
        raise InputMissingError(f"{url} answers something else than authorities of RDS; {file} is as it was.")
    file.parent.mkdir(parents=True, exist_ok=True)
    # A package must never be made of half a bundle, which would look like a whole one.
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
