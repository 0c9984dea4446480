"""A function that cannot start."""

raise RuntimeError("broken at import")
