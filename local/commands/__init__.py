"""The commands of `python -m local`: start, stop, status, logs, the sample payment."""
