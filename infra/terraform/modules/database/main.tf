locals {
  port = 5432
  # RDS writes these two log groups. They are created first, with encryption and retention.
  logs = toset(["postgresql", "upgrade"])

  parameters = {
    "ssl_min_protocol_version" = "TLSv1.2"
    "password_encryption"      = "scram-sha-256"
    # Parameters of statements hold amounts and merchants' texts, which must not be logged.
    "log_parameter_max_length"          = "0"
    "log_parameter_max_length_on_error" = "0"
    "log_min_duration_statement"        = tostring(var.slow_statement_ms)
    "log_lock_waits"                    = "1"
    # A function frozen inside a transaction must not keep its locks.
    "idle_in_transaction_session_timeout" = "60000"
  }
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_db_parameter_group" "this" {
  # A new major version needs a new group before the instance leaves the old one.
  name        = "${var.name}-postgres${var.postgres_version}"
  description = "PostgreSQL ${var.postgres_version} of ${var.name}"
  family      = "postgres${var.postgres_version}"

  # Refuse clients without TLS.
  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "immediate"
  }

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # checkov:skip=CKV_AWS_338:Log retention is a variable. Not every deployment has to keep logs for a year.
  for_each = local.logs

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_db_instance" "this" {
  # checkov:skip=CKV_AWS_161:All logins use rotated passwords from Secrets Manager. IAM would be a second way in to guard.
  # checkov:skip=CKV2_AWS_30:log_statement would write the passwords of ALTER ROLE into the log. Slow statements are logged.
  # checkov:skip=CKV_AWS_157:Multi-AZ is a variable, on by default. A development database does not need it.
  # checkov:skip=CKV_AWS_293:Deletion protection is a variable, on by default. A development database is disposable.
  # checkov:skip=CKV_AWS_118:Enhanced monitoring is on by default. An interval of 0 turns it off for a development database.
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.postgres_version
  instance_class = var.instance_class

  db_name                       = "paybridge"
  username                      = "paybridge_admin"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn
  port                          = local.port

  storage_type          = "gp3"
  allocated_storage     = var.storage_gb
  max_allocated_storage = var.storage_gb_max
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [var.security_group_id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this.name

  # Automated backups ship the log every five minutes, so any moment of this period can be restored.
  backup_retention_period   = var.backup_retention_days
  backup_window             = var.backup_window
  maintenance_window        = var.maintenance_window
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.final_snapshot
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.final_snapshot
  final_snapshot_identifier = var.final_snapshot ? "${var.name}-final-${random_id.final_snapshot.hex}" : null

  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = var.major_upgrade_allowed
  apply_immediately           = var.apply_immediately

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7
  monitoring_interval                   = var.monitoring_interval_seconds
  monitoring_role_arn                   = one(aws_iam_role.monitoring[*].arn)
  enabled_cloudwatch_logs_exports       = local.logs

  depends_on = [aws_cloudwatch_log_group.this]
}

# The snapshot outlives the instance. An environment that is created and destroyed again takes another name.
resource "random_id" "final_snapshot" {
  byte_length = 4
}

# RDS created the secret and rotates it. This sets only the interval.
resource "aws_secretsmanager_secret_rotation" "admin" {
  secret_id = aws_db_instance.this.master_user_secret[0].secret_arn

  rotation_rules {
    automatically_after_days = var.admin_rotation_days
  }
}

resource "aws_iam_role" "monitoring" {
  count = var.monitoring_interval_seconds > 0 ? 1 : 0

  name = "${var.name}-database-monitoring"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

data "aws_partition" "current" {}

resource "aws_iam_role_policy_attachment" "monitoring" {
  count = var.monitoring_interval_seconds > 0 ? 1 : 0

  role       = aws_iam_role.monitoring[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
