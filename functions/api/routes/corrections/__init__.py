"""Corrections of the books, for operators."""
