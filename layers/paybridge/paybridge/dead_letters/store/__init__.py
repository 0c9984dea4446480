"""The tables of dead letters."""
