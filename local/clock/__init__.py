"""The test clock: one offset that the time of every process of the stack, and of its database, is ahead by."""
