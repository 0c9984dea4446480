output "database_arn" {
  description = "ARN of the secret of the functions' role in PostgreSQL."
  # Readers must find a value in the secret.
  value = aws_secretsmanager_secret_version.database.arn
}

output "broker_arn" {
  description = "ARN of the secret of the functions' user in RabbitMQ."
  value       = aws_secretsmanager_secret_version.broker.arn
}

output "broker_admin_arn" {
  description = "ARN of the secret of RabbitMQ's administrator."
  value       = aws_secretsmanager_secret_version.broker_admin.arn
}

output "broker_admin_username" {
  description = "Name of RabbitMQ's administrator."
  value       = local.admin
}

output "broker_admin_password" {
  description = "Initial password of the administrator."
  value       = random_password.broker_admin.result
  sensitive   = true
}

output "gateway_notices_arn" {
  description = "ARN of the secret with which the gateway signs its notices."
  value       = aws_secretsmanager_secret_version.gateway_notices.arn
}
