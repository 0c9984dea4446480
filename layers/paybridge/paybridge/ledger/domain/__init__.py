"""The rules of the books: accounts, posting rules, fees and journals."""
