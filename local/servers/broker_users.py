"""The functions' users on the broker of the offline stack, with the rights that Terraform gives them on AWS.

`infra/terraform/topology/users.tf` says why each right is needed; a test holds both equal. So a function that wanted
more than it may on AWS would fail offline already.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

# Good for the offline stack only, whose broker listens on loopback.
USERNAME, PASSWORD = "paybridge", "paybridge"
# The one that takes turns with it when logins rotate.
TWIN_SUFFIX = "-b"
NOTHING = "^$"


def rights(topology: Mapping[str, Any]) -> dict[str, str]:
    """What the functions may configure, write and read, as patterns of names; `topology` has its shards spelled out."""
    exchanges = {one["name"] for one in topology["exchanges"]}
    queues = {one["name"] for one in topology["queues"]}
    dead_letter_exchanges = {one["definition"].get("dead-letter-exchange") for one in topology["policies"]}
    dead_letter_queues = {one["destination"] for one in topology["bindings"] if one["source"] in dead_letter_exchanges}
    return {
        "configure": NOTHING,
        "write": _pattern(exchanges | dead_letter_queues),
        "read": _pattern(queues - dead_letter_queues),
    }


def url_of(amqp_url: str, username: str = USERNAME, password: str = PASSWORD) -> str:
    """`amqp_url` with the login of the functions, or another."""
    parts = urlsplit(amqp_url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(username, safe='')}:{quote(password, safe='')}@{place}"))


def _pattern(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$"
