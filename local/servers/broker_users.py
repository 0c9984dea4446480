"""The functions' users on the broker of the offline stack, with the rights that Terraform gives them on AWS.

`infra/terraform/topology/users.tf` says why each right is needed, and a test holds both equal. A function that uses a
right it lacks on AWS therefore fails offline as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

# For the offline stack only, whose broker listens on loopback.
USERNAME, PASSWORD = "paybridge", "paybridge"
# The second user, which takes turns with the first when logins rotate.
TWIN_SUFFIX = "-b"
NOTHING = "^$"


def rights(topology: Mapping[str, Any]) -> dict[str, str]:
    """Return what the functions may configure, write and read, as patterns of names.

    `topology` has its shards spelled out.
    """
    return {
        "configure": NOTHING,
        "write": _pattern(exchange["name"] for exchange in topology["exchanges"]),
        "read": _pattern(queue["name"] for queue in topology["queues"]),
    }


def url_of(amqp_url: str, username: str = USERNAME, password: str = PASSWORD) -> str:
    """Return `amqp_url` with the login of the functions, or another."""
    parts = urlsplit(amqp_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(username, safe='')}:{quote(password, safe='')}@{place}"))


def _pattern(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$"
