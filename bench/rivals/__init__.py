"""The programs that Paybridge is compared with. Each is written as its users would, and as fast as possible."""
