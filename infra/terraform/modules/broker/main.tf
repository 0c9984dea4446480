locals {
  single = var.deployment_mode == "SINGLE_INSTANCE"
}

resource "aws_mq_broker" "this" {
  # checkov:skip=CKV_AWS_209:Amazon MQ encrypts RabbitMQ brokers with a key that AWS owns and accepts no other.
  # checkov:skip=CKV_AWS_48:Only ActiveMQ has audit logs. Amazon MQ refuses them for RabbitMQ. General logs are on.
  broker_name        = var.name
  engine_type        = "RabbitMQ"
  engine_version     = var.engine_version
  deployment_mode    = var.deployment_mode
  host_instance_type = var.instance_type

  publicly_accessible = false
  subnet_ids          = local.single ? slice(var.subnet_ids, 0, 1) : var.subnet_ids
  security_groups     = [var.security_group_id]

  # Amazon MQ demands it since RabbitMQ 3.13. Only the patch version changes.
  auto_minor_version_upgrade = true
  apply_immediately          = var.apply_immediately

  logs {
    general = true
  }

  maintenance_window_start_time {
    day_of_week = var.maintenance_window.day
    time_of_day = var.maintenance_window.time
    time_zone   = "UTC"
  }

  # A broker starts with one administrator. All other users are created through its management API.
  user {
    username = var.admin_username
    password = var.admin_password
  }

  lifecycle {
    # Amazon MQ changes a user only by replacing the broker, which loses its messages. Change the administrator's
    # password in RabbitMQ itself (docs/operators/platform.md).
    ignore_changes = [user]
  }
}
