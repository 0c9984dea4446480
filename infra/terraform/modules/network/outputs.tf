output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets of functions, broker and proxy, in the order of their zones."
  value       = [for zone in local.zones : aws_subnet.private[zone].id]
}

output "database_subnet_ids" {
  description = "Subnets without a route to the internet, in the order of their zones."
  value       = [for zone in local.zones : aws_subnet.database[zone].id]
}

output "security_group_ids" {
  description = "Ids of the security groups by name: functions, database, database-proxy, broker, endpoints, operators."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
