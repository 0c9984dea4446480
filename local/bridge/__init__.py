"""What AWS puts in front of the functions: API Gateway, EventBridge Scheduler and the RabbitMQ event source mapping."""
