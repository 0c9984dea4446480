"""The feed: events in an order that never skips one, to read, wait for and stream."""
