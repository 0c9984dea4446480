"""Tiny functions for the tests of the Lambda host."""
