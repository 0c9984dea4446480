# Logins of what is made here. Two passwords are drawn anew on every run and written only when their version changes, so
# that no state holds them. The broker's administrator is the exception: Amazon MQ's resource takes no write-only
# password, so the state holds that one.

locals {
  username = "paybridge"
  admin    = "paybridge-admin"

  descriptions = {
    database     = "The functions' role in PostgreSQL"
    broker       = "The functions' user in RabbitMQ"
    broker-admin = "RabbitMQ's administrator"
  }

  # Letters and digits alone: Amazon MQ forbids some signs, and a URL need not quote them.
  password_length = 40
}

ephemeral "random_password" "database" {
  length  = local.password_length
  special = false
}

ephemeral "random_password" "broker" {
  length  = local.password_length
  special = false
}

resource "random_password" "broker_admin" {
  length  = local.password_length
  special = false
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:The schedules of database and broker are in template.yaml, beside the function that rotates; the administrator's password is changed by hand (docs/operators/platform.md).
  for_each = local.descriptions

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_days
}

# A version that a rotation has left behind loses its labels, and Secrets Manager deletes such versions one day. Then
# Terraform would write the secret again and lock the functions out. The label `first` keeps the version.

resource "aws_secretsmanager_secret_version" "database" {
  secret_id = aws_secretsmanager_secret.this["database"].id
  secret_string_wo = jsonencode({
    username = local.username
    password = ephemeral.random_password.database.result
  })
  secret_string_wo_version = 1
  version_stages           = ["AWSCURRENT", "first"]

  lifecycle {
    ignore_changes = [version_stages]
  }
}

resource "aws_secretsmanager_secret_version" "broker" {
  secret_id = aws_secretsmanager_secret.this["broker"].id
  secret_string_wo = jsonencode({
    username = local.username
    password = ephemeral.random_password.broker.result
  })
  secret_string_wo_version = 1
  version_stages           = ["AWSCURRENT", "first"]

  lifecycle {
    ignore_changes = [version_stages]
  }
}

resource "aws_secretsmanager_secret_version" "broker_admin" {
  secret_id = aws_secretsmanager_secret.this["broker-admin"].id
  secret_string_wo = jsonencode({
    username = local.admin
    password = random_password.broker_admin.result
  })
  secret_string_wo_version = 1
  version_stages           = ["AWSCURRENT", "first"]

  lifecycle {
    ignore_changes = [version_stages]
  }
}
