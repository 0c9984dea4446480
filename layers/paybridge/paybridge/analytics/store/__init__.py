"""The tables of the schema `analytics`, by SQLAlchemy Core."""
