# The interface to template.yaml: its Parameters use the same names. A test holds them equal.

locals {
  parameters = {
    "database/host"             = module.database.host
    "database/instance-host"    = module.database.instance_host
    "database/port"             = tostring(module.database.port)
    "database/name"             = module.database.database_name
    "database/secret-id"        = module.secrets.database_arn
    "database/admin-secret-id"  = module.database.admin_secret_arn
    "broker/url"                = module.broker.url
    "broker/management-url"     = module.broker.management_url
    "broker/arn"                = module.broker.arn
    "broker/secret-id"          = module.secrets.broker_arn
    "broker/admin-secret-id"    = module.secrets.broker_admin_arn
    "gateway/url"               = var.gateway_url
    "gateway/notices-secret-id" = module.secrets.gateway_notices_arn
    "secrets/key-arn"           = module.encryption.key_arn
    "alarms/topic-arn"          = module.topic.arn
    "events/bus-name"           = module.events.bus_name
  }

  list_parameters = {
    "network/subnet-ids"         = module.network.private_subnet_ids
    "network/security-group-ids" = [module.network.security_group_ids["functions"]]
  }

  # Of what an environment may do without.
  optional_parameters = merge(
    var.archive == null ? {} : { "archive/bucket" = module.archive[0].bucket },
    var.cache == null ? {} : { "cache/endpoint" = module.cache[0].endpoint },
  )
}

module "parameters" {
  source = "../modules/parameters"

  environment = var.environment
  strings     = merge(local.parameters, local.optional_parameters)
  lists       = local.list_parameters
}
