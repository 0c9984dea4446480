"""The SQL of the books."""
