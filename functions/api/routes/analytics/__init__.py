"""The days and months of merchants in figures."""
