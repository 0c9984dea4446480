# Logins of database and broker, and the secret of gateways' notices. Each run generates three values, and writes them only when their version changes, so
# the state holds neither. The broker's administrator is the exception: Amazon MQ's resource has no write-only
# password, so the state holds that one.

locals {
  username = "paybridge"
  admin    = "paybridge-admin"

  descriptions = {
    database        = "The functions' role in PostgreSQL"
    broker          = "The functions' user in RabbitMQ"
    broker-admin    = "RabbitMQ's administrator"
    gateway-notices = "What the payment gateway signs its notices with"
  }

  # Only letters and digits: Amazon MQ forbids some characters, and a URL needs no quoting.
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

# 32 bytes, the key of an HMAC with SHA-256.
ephemeral "random_password" "gateway_notices" {
  length  = 32
  special = false
}

resource "random_password" "broker_admin" {
  length  = local.password_length
  special = false
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:template.yaml has the rotation schedules of database and broker. The others are changed by hand (docs/operators/secrets.md).
  for_each = local.descriptions

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_days
}

# After a rotation an old version loses its labels, and Secrets Manager deletes it some day. Terraform would then write
# the secret again and lock the functions out. The label `first` keeps the version.

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

# Tell the gateway this secret, or put the gateway's own in its place (docs/operators/secrets.md).
resource "aws_secretsmanager_secret_version" "gateway_notices" {
  secret_id                = aws_secretsmanager_secret.this["gateway-notices"].id
  secret_string_wo         = "whsec_${base64encode(ephemeral.random_password.gateway_notices.result)}"
  secret_string_wo_version = 1
  version_stages           = ["AWSCURRENT", "first"]

  lifecycle {
    ignore_changes = [version_stages]
  }
}
