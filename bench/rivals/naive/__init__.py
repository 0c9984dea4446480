"""The naive way: FastAPI, the ORM over pg8000, and everything one by one."""
