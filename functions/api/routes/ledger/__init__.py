"""The books: balances, accounts and entries."""
