"""Dead letters: every message that ended in a dead-letter queue, kept until an operator redrives or discards it."""
