"""The ledger function: posts payments, refunds and payouts to the books."""
