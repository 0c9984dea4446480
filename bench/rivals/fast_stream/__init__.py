"""FastStream over RabbitMQ, asyncpg and an outbox that is relayed in batches: the best ready-made stack we found."""
