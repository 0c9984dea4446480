"""Payouts: what a merchant has available is paid out."""
