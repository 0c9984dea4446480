"""Run a function's batch, whether in Lambda or in `paybridge worker`.

There is one module for each function that a worker can replace. The Lambda handler parses its event and calls the
module; a worker takes the messages from the queue itself and calls the same module. `batch` is what they share.
"""
