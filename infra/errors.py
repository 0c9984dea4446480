"""What keeps a package from being made or deployed."""


class InputMissingError(Exception):
    """Something has to be there or to be changed first; the message is one sentence that names it."""
