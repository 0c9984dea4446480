"""Structured logs: one JSON object a line, by Powertools, with the correlation id of the work in hand."""

from __future__ import annotations

from aws_lambda_powertools import Logger


def logger() -> Logger:
    """The logger of this function; its service name and level come from the POWERTOOLS_* variables."""
    return Logger(utc=True, use_rfc3339=True)
