"""Private stacks, servers and receivers that tests and the benchmark share."""
