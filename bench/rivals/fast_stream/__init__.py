"""FastStream on RabbitMQ, asyncpg, and an outbox relayed in batches: the best ready-made stack we found."""
