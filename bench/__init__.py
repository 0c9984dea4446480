"""Measures Paybridge beside what one would use instead of it, on private servers; see docs/developers/performance.md."""
