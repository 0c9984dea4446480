"""The simulated payment gateway: an HTTP process with its own append-only charge log."""
