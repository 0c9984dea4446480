"""Measures Paybridge beside what one would use instead of it, on servers of its own; see docs/performance.md."""
