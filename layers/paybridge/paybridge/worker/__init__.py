"""`paybridge worker`: the work of a function in a long-running process, for loads beyond Lambda's queue mappings."""
