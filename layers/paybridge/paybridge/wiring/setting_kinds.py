"""The kinds of settings: what a variable may hold, and how its text is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from typing import Generic, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from paybridge.access.domain.merchants import EMAIL_PATTERN
from paybridge.database.services import SERVICES, Service
from paybridge.webhooks.domain.address import IpNetwork

Value = TypeVar("Value")

VALKEY_SCHEMES = frozenset({"redis", "rediss", "valkey", "valkeys"})


@dataclass(frozen=True, slots=True)
class SettingKind(Generic[Value]):
    """The type of a setting. `parse` raises ValueError for text that is not `noun`."""

    noun: str
    parse: Callable[[str], Value]
    # An empty variable is a value, such as no retry. For other kinds it means the default.
    takes_empty: bool = False


def _positive(text: str, maximum: float = sys.float_info.max) -> float:
    value = float(text)
    if not 0 < value <= maximum:
        raise ValueError(text)
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _months(text: str) -> int:
    value = int(text)
    if value and not MONTHS_MIN <= value <= MONTHS_MAX:
        raise ValueError(text)
    return value


def _broker_url(text: str) -> str:
    url = text.rstrip("/")
    if "/" in url.partition("://")[2]:
        raise ValueError(text)
    return url


def _valkey_url(text: str) -> str:
    parts = urlsplit(text)
    # Reading a malformed port raises ValueError.
    if text and (parts.scheme not in VALKEY_SCHEMES or not parts.hostname or "@" in parts.netloc or parts.port == 0):
        raise ValueError(text)
    return text


def _root_path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", text):
        raise ValueError(text)
    return text.removesuffix("/")


def _tls_mode(text: str) -> str:
    if text not in {"verify-full", "disable"}:
        raise ValueError(text)
    return text


def _review_decision(text: str) -> str:
    if text not in {"reject", "approve"}:
        raise ValueError(text)
    return text


def _service(text: str) -> Service | None:
    if text and text not in SERVICES:
        raise ValueError(text)
    return SERVICES.get(text)


def _switch(text: str) -> str:
    if text not in {"on", "off"}:
        raise ValueError(text)
    return text


def _mail_address(text: str) -> str:
    if text and not re.fullmatch(EMAIL_PATTERN, text):
        raise ValueError(text)
    return text


def _sms_sender_id(text: str) -> str:
    if text and not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}", text):
        raise ValueError(text)
    return text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


TEXT = SettingKind("text", str)
COUNT = SettingKind("a whole number above 0", _whole)
# What a gateway may still change is younger.
MONTHS_MIN, MONTHS_MAX = 2, 1200
MONTHS = SettingKind(f"0, or a whole number from {MONTHS_MIN} to {MONTHS_MAX}", _months)
DAYS = SettingKind("a number above 0", _positive)
SECONDS = SettingKind("a number above 0", _positive)
# A batch of webhooks takes some deadlines of its lane, and must end before its function does.
WEBHOOK_SECONDS = SettingKind("a number above 0, at most 15", partial(_positive, maximum=15))
WEBHOOK_FAST_SECONDS = SettingKind("a number above 0, at most 10", partial(_positive, maximum=10))
SECONDS_LIST = SettingKind(
    "numbers above 0, separated by commas", lambda text: tuple(map(_positive, _parts(text))), takes_empty=True
)
NETWORKS: SettingKind[tuple[IpNetwork, ...]] = SettingKind(
    "networks separated by commas", lambda text: tuple(map(ip_network, _parts(text))), takes_empty=True
)
URL = SettingKind("a URL", lambda text: text.rstrip("/"))
# The queue mappings take the virtual host from a parameter too, and a second place could contradict it.
BROKER = SettingKind("a URL that ends with the port (BROKER_VIRTUAL_HOST names the virtual host)", _broker_url)
VALKEY = SettingKind(
    "a URL such as rediss://cache.example.com:6379 without a login (VALKEY_SECRET_ID names its secret)", _valkey_url
)
ROOT_PATH = SettingKind("a path such as /payments/v1", _root_path)
REVIEW_DECISION = SettingKind("reject or approve", _review_decision)
SWITCH = SettingKind("on or off", _switch)
MAIL_ADDRESS = SettingKind("an e-mail address without a name", _mail_address, takes_empty=True)
SMS_SENDER_ID = SettingKind("1 to 11 letters and digits, with a letter", _sms_sender_id, takes_empty=True)
MERCHANT: SettingKind[UUID | None] = SettingKind(
    "the id of a merchant", lambda text: UUID(text) if text else None, takes_empty=True
)
SERVICE: SettingKind[Service | None] = SettingKind(" or ".join(SERVICES), _service, takes_empty=True)
TLS_MODE = SettingKind("verify-full or disable", _tls_mode)
