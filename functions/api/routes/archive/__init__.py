"""The archive of old months, for operators."""
