"""Fraud rules, and dry runs of them."""
