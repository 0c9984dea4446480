"""A function that cannot start."""

from __future__ import annotations

raise RuntimeError("broken at import")
