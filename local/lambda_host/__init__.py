"""Lambda on one machine: a Runtime API, the environments that run the functions, and the Invoke API."""
