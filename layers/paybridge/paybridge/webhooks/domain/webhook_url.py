"""Which URLs a merchant may name for webhooks.

This checks the form, and the address if the URL names one. Whether a name leads to a forbidden network is checked when
a delivery connects, because a name can resolve differently at any time.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from paybridge.core.errors import InvalidInput
from paybridge.webhooks.domain.address import IpAddress, IpNetwork, is_public, is_within
from paybridge.webhooks.domain.webhook import is_target_allowed

URL_CHARACTERS_MAX = 2048
HTTP_PORT = 80
HTTPS_PORT = 443
PORT_MAX = 65535
# At most half a megabyte, if all are as long as allowed.
URLS_REMEMBERED = 256

# The codes of `check_webhook_url`.
URL_CODES = (
    "webhook_url_too_long",
    "webhook_scheme_invalid",
    "webhook_host_not_ascii",
    "webhook_url_not_ascii",
    "webhook_url_invalid",
    "webhook_fragment_not_allowed",
    "webhook_login_not_allowed",
    "webhook_port_invalid",
    "webhook_host_missing",
    "webhook_host_invalid",
    "webhook_url_insecure",
    "webhook_address_not_allowed",
    "webhook_port_not_allowed",
)

# Scheme, host with port, and the rest. A backslash ends the host, as in browsers, and is refused with the characters.
_PARTS = re.compile(r"(https?)://([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
# The characters that RFC 3986 allows.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
# The port may be missing or empty.
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(.*))?")
_ENCODED_PREFIX = "xn--"
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
# As in browsers: a host whose last label looks like this is an IPv4 address or an error, never a name.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Top-level names that are reserved for private networks. The metadata service of Google Cloud is below the last.
_PRIVATE_NAME = re.compile(r"(.+\.)?(localhost|local|home\.arpa|internal)\.?")


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where a request to a URL goes, and what it says there.

    `scheme` and `host` are in lower case; the host of an IPv6 address is in brackets. `host_header` and
    `request_target` are as the merchant wrote them.
    """

    scheme: str
    host: str
    port: int
    host_header: str
    request_target: str

    @property
    def host_name(self) -> str:
        """Return the host without brackets, for resolvers."""
        return self.host.strip("[]")

    @property
    def tls_name(self) -> str:
        """Return the name for TLS, which has no trailing dot."""
        return self.host_name.removesuffix(".")


# A merchant sends the same URL with every payment. URLs that raise are not cached.
@lru_cache(URLS_REMEMBERED)
def check_webhook_url(url: str, *, local_networks: tuple[IpNetwork, ...]) -> str:
    """Return `url` unchanged if it is an absolute https URL with a public host and without login or fragment.

    In `local_networks`, which only local settings name, http and any port are accepted too.

    Raises InvalidInput with one of URL_CODES, which names the part at fault.
    """
    if len(url) > URL_CHARACTERS_MAX:
        raise _invalid("webhook_url_too_long", f"Shorten the URL to at most {URL_CHARACTERS_MAX} characters.")
    target = read_target(url)
    address = _address_of(target.host)
    if not _is_local(target.host, local_networks):
        _check_public(target, address, knows_networks=bool(local_networks))
    return url


def read_target(url: str) -> WebhookTarget:
    """Return where the URL leads. Raises InvalidInput with one of URL_CODES if it has not the form of URLs."""
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise _invalid("webhook_scheme_invalid", "Send an absolute URL that starts with https://.")
    scheme, authority, rest = parts.groups()
    if not authority.isascii():
        raise _invalid(
            "webhook_host_not_ascii", "Write an international host name in punycode, such as xn--e1afmkfd.xn--p1ai."
        )
    if not rest.isascii():
        raise _invalid("webhook_url_not_ascii", "Percent-encode the characters of the path and query as UTF-8.")
    if not _CHARACTERS.fullmatch(url):
        raise _invalid(
            "webhook_url_invalid",
            "The URL holds a space or another character that URLs cannot hold. Percent-encode it.",
        )
    if "#" in rest:
        raise _invalid("webhook_fragment_not_allowed", "Remove the fragment, which is the part from # on.")
    if "@" in authority:
        raise _invalid("webhook_login_not_allowed", "Remove the user name and password before the host.")
    host, port = _host_and_port(authority.lower())
    _address_of(host)
    scheme = scheme.lower()
    default_port = HTTPS_PORT if scheme == "https" else HTTP_PORT
    # Browsers and curl leave out the default port.
    host_header = authority if port not in (None, default_port) else authority[: len(host)]
    # A path is never normalized and nothing is decoded or encoded: a signed URL would no longer match its signature.
    request_target = rest if rest.startswith("/") else f"/{rest}"
    return WebhookTarget(scheme, host, port or default_port, host_header, request_target)


def is_address(host: str) -> bool:
    """Return whether the host is an IP address in its usual spelling, without brackets."""
    return _ip_address(host) is not None


def _host_and_port(authority: str) -> tuple[str, int | None]:
    match = _HOST_AND_PORT.fullmatch(authority)
    if match is None:
        raise _host_invalid()
    host, port = match.groups()
    if port and not (port.isdecimal() and len(port) <= 5 and 0 < int(port) <= PORT_MAX):
        raise _invalid("webhook_port_invalid", f"The port must be a number from 1 to {PORT_MAX}.")
    if not host:
        raise _invalid("webhook_host_missing", "Name the host after https://.")
    return host, int(port) if port else None


def _address_of(host: str) -> IpAddress | None:
    """Return the address that the host spells, in whatever spelling, or None for a name. Raises InvalidInput."""
    if host.startswith("["):
        address = _ip_address(host[1:-1])
        # A scope is the number of a network card, which means something on one machine only.
        if not isinstance(address, ipaddress.IPv6Address) or address.scope_id is not None:
            raise _host_invalid()
        return address
    if not _HOST_NAME.fullmatch(host) or not all(map(_is_readable_label, host.split("."))):
        raise _host_invalid()
    labels = host.removesuffix(".").split(".")
    return _ipv4_address(labels) if _NUMBER.fullmatch(labels[-1]) else None


def _ipv4_address(labels: list[str]) -> ipaddress.IPv4Address:
    """Return the address in any spelling that resolvers take: fewer parts, octal, hexadecimal. Raises InvalidInput."""
    try:
        *first, last = map(_number, labels)
        if len(first) > 3 or any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
            raise _host_invalid()
        return ipaddress.IPv4Address(sum(number << 24 - 8 * place for place, number in enumerate(first)) + last)
    except ValueError:
        raise _host_invalid() from None


def _number(label: str) -> int:
    if not _NUMBER.fullmatch(label):
        raise ValueError(label)
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _check_public(target: WebhookTarget, address: IpAddress | None, *, knows_networks: bool) -> None:
    if target.scheme != "https":
        raise _invalid("webhook_url_insecure", "The URL must start with https://.")
    if address is not None:
        is_refused = not is_public(address)
    else:
        # Where local networks are set, a private name may lead into one.
        is_refused = not knows_networks and _PRIVATE_NAME.fullmatch(target.host) is not None
    if is_refused:
        raise _invalid(
            "webhook_address_not_allowed",
            "The host is a private, local or reserved address. Name a host on the public internet.",
        )
    if not is_target_allowed(target.scheme, target.port):
        raise _invalid("webhook_port_not_allowed", "The port of the URL must be 443 or 8443.")


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
    """Return whether the host is in a local network. Only the plain spelling of an address counts."""
    if not networks:
        return False
    address = _ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    return address is not None and is_within(address, networks)


def _ip_address(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host_invalid() -> InvalidInput:
    return _invalid("webhook_host_invalid", "The host must be a name such as shop.example.com, or an IP address.")


def _invalid(code: str, detail: str) -> InvalidInput:
    return InvalidInput(code, detail, "webhook_url")
