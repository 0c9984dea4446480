"""Choose between two kinds of answers by the header Accept (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re

_QUALITY = re.compile(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", re.ASCII | re.IGNORECASE)


def prefers(accept: str, wanted: str, default: str) -> bool:
    """Tell whether the header names the media type `wanted`, and does not rank `default` as high or higher.

    Wildcards choose the default. What cannot be read is passed over.
    """
    ranked: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        qualities = [match[1] for match in map(_QUALITY.fullmatch, parameters) if match]
        ranked[name] = float(qualities[0]) if qualities else 1.0
    return ranked.get(wanted, 0.0) > ranked.get(default, 0.0)
