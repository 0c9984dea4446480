output "arn" {
  description = "ARN of the broker, for the queue mappings."
  value       = aws_mq_broker.this.arn
}

output "name" {
  description = "Name of the broker, as CloudWatch names it."
  value       = aws_mq_broker.this.broker_name
}

output "url" {
  description = "AMQP URL without login and virtual host. A cluster has one address for all nodes."
  value       = aws_mq_broker.this.instances[0].endpoints[0]
}

output "management_url" {
  description = "URL of RabbitMQ's management API."
  value       = aws_mq_broker.this.instances[0].console_url
}
