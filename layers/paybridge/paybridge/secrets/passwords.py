"""Passwords for the logins that a rotation changes."""

from __future__ import annotations

import secrets
import string
from typing import Final

PASSWORD_CHARACTERS: Final = 40

_ALPHABET: Final = string.ascii_letters + string.digits


def new_password() -> str:
    """238 bits of chance in letters and digits alone, which no URL, shell or policy has to quote."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_CHARACTERS))
