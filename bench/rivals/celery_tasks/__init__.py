"""Celery as its users write it: the payment is committed, then the task is sent; psycopg, and quorum queues."""
