"""Measure Paybridge and its rivals on private servers. See docs/developers/performance.md."""
