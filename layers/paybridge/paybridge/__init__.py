"""Paybridge: event-driven payments, accepted in milliseconds and settled exactly once in effect."""
