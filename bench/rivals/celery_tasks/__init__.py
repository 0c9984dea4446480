"""Celery as its users write it: commit the payment, then send the task. It uses psycopg and quorum queues."""
