"""The whole stack: what starts in which order, what is declared and registered, the variants by SAM and LocalStack."""
