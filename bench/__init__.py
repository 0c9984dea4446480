"""Measure Paybridge beside its alternatives, on private servers: see docs/developers/performance.md."""
