# All resources that outlive a deployment of the functions: network, database, broker, secrets, the SSM parameters that
# template.yaml reads (parameters.tf), alarms and roles (operations.tf). ../topology has exchanges and queues, template.yaml has
# the functions.

locals {
  name = "paybridge-${var.environment}"
}

module "encryption" {
  source = "../modules/encryption"

  name = local.name
}

module "network" {
  source = "../modules/network"

  name                = local.name
  cidr                = var.vpc_cidr
  zones               = var.zones
  nat                 = var.nat
  interface_endpoints = var.interface_endpoints
  flow_log_traffic    = var.flow_log_traffic
  log_retention_days  = var.log_retention_days
  kms_key_arn         = module.encryption.key_arn
}

module "secrets" {
  source = "../modules/secrets"

  name                 = local.name
  kms_key_arn          = module.encryption.key_arn
  recovery_window_days = var.secret_recovery_days
}

module "database" {
  source = "../modules/database"

  name                        = local.name
  postgres_version            = var.postgres_version
  major_upgrade_allowed       = var.postgres_major_upgrade_allowed
  instance_class              = var.database_instance_class
  storage_gb                  = var.database_storage_gb
  storage_gb_max              = var.database_storage_gb_max
  multi_az                    = var.database_multi_az
  backup_retention_days       = var.database_backup_days
  deletion_protection         = var.database_deletion_protection
  final_snapshot              = var.database_final_snapshot
  apply_immediately           = var.apply_immediately
  monitoring_interval_seconds = var.database_monitoring_seconds
  admin_rotation_days         = var.database_admin_rotation_days
  log_retention_days          = var.log_retention_days
  subnet_ids                  = module.network.database_subnet_ids
  security_group_id           = module.network.security_group_ids["database"]
  kms_key_arn                 = module.encryption.key_arn
  proxy                       = var.database_proxy
  proxy_subnet_ids            = module.network.private_subnet_ids
  proxy_security_group_id     = module.network.security_group_ids["database-proxy"]
  role_secret_arn             = module.secrets.database_arn
}

module "broker" {
  source = "../modules/broker"

  name              = local.name
  engine_version    = var.broker_engine_version
  deployment_mode   = var.broker_deployment_mode
  instance_type     = var.broker_instance_type
  apply_immediately = var.apply_immediately
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["broker"]
  admin_username    = module.secrets.broker_admin_username
  admin_password    = module.secrets.broker_admin_password
}

module "archive" {
  source = "../modules/archive"
  count  = var.archive == null ? 0 : 1

  name        = local.name
  kms_key_arn = module.encryption.key_arn
  deletable   = var.archive.deletable
  expire_days = var.archive.expire_days
  object_lock = var.archive.object_lock
}

moved {
  from = module.archive
  to   = module.archive[0]
}

module "events" {
  source = "../modules/events"

  name         = local.name
  archive_days = var.events.archive_days
}

moved {
  from = module.events[0]
  to   = module.events
}

module "topic" {
  source = "../modules/topic"

  name        = local.name
  kms_key_arn = module.encryption.key_arn
  emails      = var.alarm_emails
}

module "cache" {
  source = "../modules/cache"
  count  = var.cache == null ? 0 : 1

  name                        = local.name
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  functions_security_group_id = module.network.security_group_ids["functions"]
  kms_key_arn                 = module.encryption.key_arn
  storage_gb_max              = var.cache.storage_gb_max
  ecpu_per_second_max         = var.cache.ecpu_per_second_max
}
