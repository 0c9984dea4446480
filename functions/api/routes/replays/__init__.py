"""Replays of the event log, for operators."""
