"""Replay: facts of the event log, published again to the queue of one consumer."""
