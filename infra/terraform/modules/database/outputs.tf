output "host" {
  description = "Host for the functions: the proxy if there is one, otherwise the instance."
  value       = var.proxy ? aws_db_proxy.this[0].endpoint : aws_db_instance.this.address
}

output "instance_host" {
  description = "Host of the instance itself. RDS's own authorities sign its certificate."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "TCP port of instance and proxy."
  value       = local.port
}

output "database_name" {
  description = "Name of the database."
  value       = aws_db_instance.this.db_name
}

output "identifier" {
  description = "Identifier of the instance, as CloudWatch names it."
  value       = aws_db_instance.this.identifier
}

output "admin_secret_arn" {
  description = "ARN of the administrator's secret, which RDS manages."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
