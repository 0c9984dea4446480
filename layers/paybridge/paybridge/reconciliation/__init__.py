"""Compare the statements of gateways with our payments and with the ledger, operation by operation."""
