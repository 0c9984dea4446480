"""An AWS endpoint of a test's own, which has nothing yet."""

from __future__ import annotations

REGION = "eu-central-1"
