"""Why something failed, in the words that an operator searches for, and without what no log may repeat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from paybridge.core.errors import QueueMissing, RotationRefused, SettingsInvalid, Unavailable

# AWS's sentence about a missing right, which a policy of the caller, of the resource or of the key may lack.
_MISSING_RIGHT = re.compile(r"perform: ([\w-]+:\w+)")
# Secrets Manager's own sentence about the key of a secret.
_KEY_REFUSED = "Access to KMS is not allowed"
# The texts of these are ours. Those of other errors may repeat values of a row.
_TELLING = (QueueMissing, RotationRefused, SettingsInvalid, Unavailable)


def cause_of(error: BaseException) -> str:
    """Return the error's name with its detail: `AccessDeniedException (kms:Decrypt)`, `ModuleNotFoundError (boto3)`.

    The name is AWS's code for what AWS refuses, otherwise the class.
    """
    code = _aws_error(error).get("Code")
    name = code or type(error).__name__
    detail = _aws_detail(error) if code else _detail(error)
    return f"{name} ({detail})" if detail else name


def causes_of(error: BaseException) -> str:
    """Return the error with those that led to it, the outermost first. Our own sentences stand for themselves."""
    texts = [str(one).rstrip(".") if isinstance(one, _TELLING) else cause_of(one) for one in _chain(error)]
    # An error that wraps another often repeats it.
    told = [text for place, text in enumerate(texts) if not any(text in earlier for earlier in texts[:place])]
    return ": ".join(told)


def root_of(error: BaseException) -> BaseException:
    """Return the error that led to all the others."""
    return [*_chain(error)][-1]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _aws_error(error: BaseException) -> dict[str, str]:
    """Return AWS's own code and message, empty if the error is not AWS's."""
    response = getattr(error, "response", None)
    found = response.get("Error") if isinstance(response, dict) else None
    return found if isinstance(found, dict) else {}


def _aws_detail(error: BaseException) -> str:
    """Return the missing right, or AWS's sentence, or the operation that was refused."""
    message = str(_aws_error(error).get("Message") or "")
    right = _MISSING_RIGHT.search(message)
    if right:
        return right[1]
    if _KEY_REFUSED in message:
        return "kms:Decrypt"
    return message.rstrip(".") or str(getattr(error, "operation_name", ""))


def _detail(error: BaseException) -> str:
    """Return what is wrong, where the error's class names no more than the kind."""
    if isinstance(error, ImportError):
        return error.name or ""
    if isinstance(error, OSError):
        return (error.strerror or "").rstrip(".")
    return ""
