output "database_arn" {
  description = "ARN of the secret of the functions' role in PostgreSQL."
  # Who reads the secret must find a value in it.
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
  description = "Password with which the administrator is made."
  value       = random_password.broker_admin.result
  sensitive   = true
}
