"""The error of packaging and deployment."""

from __future__ import annotations


class InputMissingError(Exception):
    """An input is missing or wrong. The message names it and says what to do."""
