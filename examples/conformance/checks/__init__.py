"""The checks: each sends a few requests and yields what it saw of some rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..api import Api
from ..rules import Finding
from .callers import check_other_caller
from .concurrency import check_concurrency
from .documentation import check_documentation
from .keys import check_keys, check_missing_key, check_new_keys
from .problems import check_problem_details
from .retries import check_failed_requests, check_retries, check_same_members
from .reuse import check_reuse

Check = Callable[[Api], Iterator[Finding]]

# The last one looks at the errors that the others have met.
CHECKS: tuple[Check, ...] = (
    check_keys,
    check_missing_key,
    check_new_keys,
    check_retries,
    check_same_members,
    check_failed_requests,
    check_reuse,
    check_concurrency,
    check_other_caller,
    check_documentation,
    check_problem_details,
)
