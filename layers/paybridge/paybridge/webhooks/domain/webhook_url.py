"""Which URLs a merchant may name for webhooks.

This checks the form. Whether the host leads to a forbidden network is checked when a delivery connects, because a name
can resolve differently at any time.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from paybridge.core.errors import InvalidInput
from paybridge.webhooks.domain.address import IpNetwork, is_within
from paybridge.webhooks.domain.webhook import is_target_allowed

URL_CHARACTERS_MAX = 2048
HTTPS_PORT = 443
# At most half a megabyte, if all are as long as allowed.
URLS_REMEMBERED = 256

# The characters that RFC 3986 allows, without "#". urlsplit is lenient: it silently drops tabs and line ends.
_CHARACTERS = re.compile(r"https?://[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
# `hostname` of urlsplit is in lower case.
_ENCODED_PREFIX = "xn--"
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


# A merchant sends the same URL with every payment. URLs that raise are not cached.
@lru_cache(URLS_REMEMBERED)
def check_webhook_url(url: str, *, local_networks: tuple[IpNetwork, ...]) -> str:
    """Return `url` unchanged if it is an absolute https URL with a host and without credentials or fragment.

    In `local_networks`, which only local settings name, http and any port are accepted too.

    Raises InvalidInput (`webhook_url_invalid`, `webhook_url_insecure`, `webhook_port_not_allowed`).
    """
    parts = _split(url) if len(url) <= URL_CHARACTERS_MAX and _CHARACTERS.fullmatch(url) else None
    if parts is None or not _has_usable_host(parts):
        raise InvalidInput(
            "webhook_url_invalid",
            "The URL must be absolute, without credentials or fragment, and have at most 2048 characters.",
            "webhook_url",
        )
    if _is_local(parts.hostname or "", local_networks):
        return url
    if parts.scheme != "https":
        raise InvalidInput("webhook_url_insecure", "The URL must start with https://.", "webhook_url")
    if not is_target_allowed(parts.scheme, parts.port or HTTPS_PORT):
        raise InvalidInput("webhook_port_not_allowed", "The port of the URL must be 443 or 8443.", "webhook_url")
    return url


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if port != 0 else None


def _has_usable_host(parts: SplitResult) -> bool:
    host = parts.hostname
    if not host or "@" in parts.netloc:
        return False
    if "[" in parts.netloc:
        address = _ip_address(host)
        # A scope is the number of a network card, which means something on one machine only.
        return isinstance(address, ipaddress.IPv6Address) and address.scope_id is None
    return _HOST_NAME.fullmatch(host) is not None and all(map(_is_readable_label, host.split(".")))


def _is_readable_label(label: str) -> bool:
    """Return whether an `xn--` label decodes to a text in the form of names; any other label stands for itself.

    Python's codec `idna` follows the standard of 2003 and refuses current names, `faß.de` among them. So this checks
    what both standards agree on. A name that is invalid nevertheless fails when it is resolved.
    """
    if not label.startswith(_ENCODED_PREFIX):
        return True
    encoded = label.removeprefix(_ENCODED_PREFIX)
    try:
        text = encoded.encode("ascii").decode("punycode")
        is_the_encoding = text.encode("punycode").decode("ascii") == encoded
    except ValueError:
        return False
    in_form = unicodedata.normalize("NFKC", text.lower())
    return is_the_encoding and not text.isascii() and text.isprintable() and text == in_form


def _is_local(host: str, networks: tuple[IpNetwork, ...]) -> bool:
    address = _ip_address("127.0.0.1" if host == "localhost" else host)
    return address is not None and is_within(address, networks)


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
