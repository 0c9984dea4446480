"""What a test does where a tool is missing that the project does not install."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing_tool(reason: str) -> NoReturn:
    """Skip the test with the reason, or fail it in GitHub Actions, where the workflow installs the tool."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
