"""The long_jobs function: works on what takes longer than a minute, in slices."""
