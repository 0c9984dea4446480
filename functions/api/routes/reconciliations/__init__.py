"""Reconciliations and their breaks, for operators."""
