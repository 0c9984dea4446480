"""`paybridge worker`: the work of the functions in long-running processes, for those who outgrow Lambda's mappings."""
