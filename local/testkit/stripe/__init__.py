"""A Stripe on loopback for tests: the part of its API that the adapter uses, with faults to order."""
