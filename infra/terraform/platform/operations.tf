# Alarms, dashboard, budget, and the roles for deployment.

locals {
  # Names without paybridge-<environment>-, from each FunctionName of template.yaml. The pre-traffic hook has another
  # prefix and needs no alarm: a failed hook fails the deployment.
  function_names = regexall("FunctionName: !Sub paybridge-\\$\\{EnvironmentName\\}-([a-z-]+)", file("${path.module}/../../../template.yaml"))
  functions      = [for name in local.function_names : name[0]]

  # The queues of topology.json with their shards, which ../topology makes.
  topology = jsondecode(file("${path.module}/../../topology.json"))
  queues = concat(
    [for one in local.topology.queues : one.name],
    flatten([for one in local.topology.shards : [for number in range(one.count) : "${one.queue}.${number}"] if one.count > 1]),
  )
}

module "alarms" {
  source = "../modules/alarms"

  environment         = var.environment
  topic_arn           = module.topic.arn
  functions           = local.functions
  queues              = local.queues
  database_identifier = module.database.identifier
  broker_name         = module.broker.name
  runbook_url         = var.runbook_url

  database_connections_max           = var.database_connections_max
  database_free_storage_bytes_min    = var.database_free_storage_bytes_min
  database_freeable_memory_bytes_min = var.database_freeable_memory_bytes_min
}

module "dashboard" {
  source = "../modules/dashboard"

  environment         = var.environment
  functions           = local.functions
  queues              = local.queues
  database_identifier = module.database.identifier
  broker_name         = module.broker.name
  alarm_arns          = module.alarms.arns
  runbook_url         = var.runbook_url
}

module "budget" {
  source = "../modules/budget"
  count  = var.budget == null ? 0 : 1

  environment         = var.environment
  monthly_amount_usd  = var.budget.monthly_usd
  email_addresses     = var.budget.emails
  cost_allocation_tag = var.budget.cost_allocation_tag
}

module "github" {
  source = "../modules/github"
  count  = var.github == null ? 0 : 1

  environment         = var.environment
  repository          = var.github.repository
  repository_ids      = var.github.repository_ids
  state_bucket_arn    = var.github.state_bucket_arn
  makes_oidc_provider = var.github.makes_oidc_provider
}
