"""The dead-letters function: records what ended in a dead-letter queue."""
