output "parameter_names" {
  description = "SSM parameters that template.yaml reads."
  value       = module.parameters.names
}

output "database_host" {
  description = "Host for the functions: the proxy if there is one, otherwise the instance."
  value       = module.database.host
}

output "broker_management_url" {
  description = "RabbitMQ's management API: management_url of ../topology."
  value       = module.broker.management_url
}

output "broker_admin_secret_arn" {
  description = "Secret of RabbitMQ's administrator, whose login applies ../topology."
  value       = module.secrets.broker_admin_arn
}

output "broker_secret_arn" {
  description = "Secret of the functions' user in RabbitMQ, which ../topology creates."
  value       = module.secrets.broker_arn
}

output "vpc_id" {
  description = "VPC for the CloudShell or build that applies ../topology."
  value       = module.network.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets for that CloudShell or build."
  value       = module.network.private_subnet_ids
}

output "operators_security_group_id" {
  description = "Security group for that CloudShell or build. It reaches broker and database."
  value       = module.network.security_group_ids["operators"]
}

output "alarm_topic_arn" {
  description = "SNS topic of the alarms."
  value       = module.topic.arn
}

output "plan_role_arn" {
  description = "Role for pull requests: the repository's variable AWS_PLAN_ROLE_ARN_<ENVIRONMENT>. null without `github`."
  value       = one(module.github[*].plan_role_arn)
}

output "deploy_role_arn" {
  description = "Role for releases: the variable AWS_DEPLOY_ROLE_ARN of the GitHub environment. null without `github`."
  value       = one(module.github[*].deploy_role_arn)
}
