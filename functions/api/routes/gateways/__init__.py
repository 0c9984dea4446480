"""Notices of payment gateways."""
