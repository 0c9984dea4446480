"""The error of packaging and deployment."""


class InputMissingError(Exception):
    """An input is missing or wrong. The message names it and says what to do."""
