"""The auditor of the outbox: every change has its event, every event was published, every consumer saw it."""
