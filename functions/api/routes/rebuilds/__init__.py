"""Rebuilds of the books, for operators."""
