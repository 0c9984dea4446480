"""SQL of the archive."""
