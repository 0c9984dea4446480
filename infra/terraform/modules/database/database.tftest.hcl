mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name                    = "paybridge-test"
  instance_class          = "db.m7g.large"
  storage_gb              = 100
  storage_gb_max          = 1000
  log_retention_days      = 90
  subnet_ids              = ["subnet-00000000000000001", "subnet-00000000000000002"]
  security_group_id       = "sg-00000000000000001"
  kms_key_arn             = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  proxy_subnet_ids        = ["subnet-00000000000000003", "subnet-00000000000000004"]
  proxy_security_group_id = "sg-00000000000000002"
  role_secret_arn         = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:role"
}

run "is_safe_by_default" {
  command = plan

  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "The storage is not encrypted with our key."
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible
    error_message = "The database has a public address."
  }
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection
    error_message = "The database has no standby, or can be deleted."
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && !aws_db_instance.this.skip_final_snapshot && !aws_db_instance.this.delete_automated_backups
    error_message = "The backups are not kept long enough."
  }
  assert {
    condition     = !aws_db_instance.this.apply_immediately && !aws_db_instance.this.allow_major_version_upgrade
    error_message = "An apply may restart or upgrade the database at any time."
  }
  assert {
    condition     = aws_db_instance.this.enabled_cloudwatch_logs_exports == toset(["postgresql", "upgrade"])
    error_message = "The logs are not exported."
  }
  assert {
    condition     = alltrue([for one in aws_cloudwatch_log_group.this : one.kms_key_id == var.kms_key_arn && one.retention_in_days == 90])
    error_message = "The logs are not encrypted, or never expire."
  }
}

run "leaves_the_administrators_password_to_rds" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "Terraform knows the administrator's password."
  }
  assert {
    condition     = aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn
    error_message = "The administrator's secret is not under our key."
  }
  assert {
    condition     = aws_secretsmanager_secret_rotation.admin.rotation_rules[0].automatically_after_days == 30
    error_message = "The administrator's password is not changed each month."
  }
}

run "refuses_clients_without_tls_and_logs_no_values" {
  command = plan

  assert {
    condition     = { for one in aws_db_parameter_group.this.parameter : one.name => one.value }["rds.force_ssl"] == "1"
    error_message = "A client may connect without TLS."
  }
  assert {
    condition     = { for one in aws_db_parameter_group.this.parameter : one.name => one.value }["log_parameter_max_length"] == "0"
    error_message = "Values of statements get into the log."
  }
  assert {
    condition     = !contains([for one in aws_db_parameter_group.this.parameter : one.name], "log_statement")
    error_message = "Statements are logged, and with them the passwords of ALTER ROLE."
  }
}

run "puts_a_proxy_that_demands_tls_in_front" {
  command = plan

  assert {
    condition     = output.host == "paybridge.proxy.eu-central-1.rds.amazonaws.com"
    error_message = "Functions do not connect through the proxy."
  }
  assert {
    condition     = output.instance_host == "paybridge.instance.eu-central-1.rds.amazonaws.com"
    error_message = "The instance itself is not named."
  }
  assert {
    condition     = aws_db_proxy.this[0].require_tls && !coalesce(aws_db_proxy.this[0].debug_logging, false)
    error_message = "The proxy lets unencrypted clients in, or logs statements."
  }
  assert {
    condition     = toset([for one in aws_db_proxy.this[0].auth : one.secret_arn]) == toset([var.role_secret_arn])
    error_message = "The proxy accepts more than the functions' role."
  }
  assert {
    condition     = alltrue([for one in aws_db_proxy.this[0].auth : one.client_password_auth_type == "POSTGRES_SCRAM_SHA_256"])
    error_message = "Clients authenticate to the proxy with less than SCRAM."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.proxy[0].policy).Statement[0].Resource == [var.role_secret_arn]
    error_message = "The proxy may read other secrets."
  }
}

run "does_without_a_proxy" {
  command = plan

  variables {
    proxy = false
  }

  assert {
    condition     = length(aws_db_proxy.this) == 0 && length(aws_iam_role.proxy) == 0
    error_message = "There is a proxy."
  }
  assert {
    condition     = output.host == output.instance_host
    error_message = "Functions do not connect to the instance."
  }
}

run "can_be_small_and_disposable" {
  command = plan

  variables {
    instance_class              = "db.t4g.micro"
    storage_gb                  = 20
    storage_gb_max              = 50
    multi_az                    = false
    deletion_protection         = false
    final_snapshot              = false
    monitoring_interval_seconds = 0
    backup_retention_days       = 1
  }

  assert {
    condition     = aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == null
    error_message = "Deleting it leaves a snapshot."
  }
  assert {
    condition     = length(aws_iam_role.monitoring) == 0
    error_message = "There is a role for monitoring that is off."
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted
    error_message = "A small database is not encrypted."
  }
}

run "takes_postgres_17" {
  command = plan

  variables {
    postgres_version = "17"
  }

  assert {
    condition     = aws_db_instance.this.engine_version == "17" && aws_db_parameter_group.this.family == "postgres17"
    error_message = "It is not PostgreSQL 17."
  }
}

run "takes_postgres_18" {
  command = plan

  variables {
    postgres_version = "18"
  }

  assert {
    condition     = aws_db_instance.this.engine_version == "18" && aws_db_parameter_group.this.name == "paybridge-test-postgres18"
    error_message = "It is not PostgreSQL 18 with a separate parameter group."
  }
}

run "refuses_postgres_15" {
  command = plan

  variables {
    postgres_version = "15"
  }

  expect_failures = [var.postgres_version]
}

run "refuses_an_invalid_class" {
  command = plan

  variables {
    instance_class = "m7g.large"
  }

  expect_failures = [var.instance_class]
}

run "refuses_storage_that_rds_does_not_give" {
  command = plan

  variables {
    storage_gb = 5
  }

  expect_failures = [var.storage_gb]
}

run "refuses_storage_that_cannot_grow" {
  command = plan

  variables {
    storage_gb_max = 100
  }

  expect_failures = [var.storage_gb_max]
}

run "refuses_to_be_without_backups" {
  command = plan

  variables {
    backup_retention_days = 0
  }

  expect_failures = [var.backup_retention_days]
}

run "refuses_one_zone" {
  command = plan

  variables {
    subnet_ids = ["subnet-00000000000000001"]
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_windows_and_intervals_that_rds_does_not_know" {
  command = plan

  variables {
    backup_window               = "at night"
    maintenance_window          = "sunday"
    monitoring_interval_seconds = 2
    admin_rotation_days         = 0
    slow_statement_ms           = 0
  }

  expect_failures = [
    var.backup_window,
    var.maintenance_window,
    var.monitoring_interval_seconds,
    var.admin_rotation_days,
    var.slow_statement_ms,
  ]
}
