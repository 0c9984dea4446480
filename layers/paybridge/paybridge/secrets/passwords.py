"""Passwords for the logins that a rotation changes."""

from __future__ import annotations

import secrets
import string

PASSWORD_CHARACTERS = 40

_ALPHABET = string.ascii_letters + string.digits


def new_password() -> str:
    """Return 238 random bits, letters and digits only: no URL, shell or policy has to quote them."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_CHARACTERS))
