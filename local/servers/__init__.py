"""The servers that the stack starts and did not write (PostgreSQL, RabbitMQ, moto, Docker), and how processes run."""
