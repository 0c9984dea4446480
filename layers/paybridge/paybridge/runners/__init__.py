"""What is done with the work of each function, for its Lambda handler and for `paybridge worker` alike.

One module for each function that a worker can do as well. A handler parses Lambda's event and calls it; a worker takes
the messages from the queue itself and calls the same.
"""
