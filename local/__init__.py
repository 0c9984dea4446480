"""The offline stack: every part of Paybridge on one machine, without Docker and without AWS."""
