"""Audits of the outbox, for operators."""
