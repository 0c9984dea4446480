"""Checks of every invariant, for operators."""
