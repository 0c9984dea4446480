"""`make test-brokers`: the messaging tests on every version of RabbitMQ that can be started here."""
