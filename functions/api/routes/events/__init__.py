"""Events: list, read and stream them."""
