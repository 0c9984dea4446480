"""Payments in review: list, approve and reject them."""
