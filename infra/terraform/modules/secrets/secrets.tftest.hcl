mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "paybridge-test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "keeps_every_secret_under_the_key" {
  command = plan

  assert {
    condition = toset([for one in aws_secretsmanager_secret.this : one.name]) == toset(
      [for name in ["database", "broker", "broker-admin", "gateway-notices"] : "paybridge-test/${name}"]
    )
    error_message = "The secrets differ."
  }
  assert {
    condition     = alltrue([for one in aws_secretsmanager_secret.this : one.kms_key_id == var.kms_key_arn && one.recovery_window_in_days == 30])
    error_message = "A secret is not under our key, or gone at once when deleted."
  }
}

run "writes_no_value_into_the_state" {
  command = plan

  assert {
    condition = alltrue([for one in [
      aws_secretsmanager_secret_version.database,
      aws_secretsmanager_secret_version.broker,
      aws_secretsmanager_secret_version.broker_admin,
      aws_secretsmanager_secret_version.gateway_notices,
    ] : one.secret_string == null && one.secret_binary == null && one.secret_string_wo_version == 1])
    error_message = "A secret's value would be in the state."
  }
}

run "keeps_the_first_version_after_rotations" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret_version.database.version_stages == toset(["AWSCURRENT", "first"])
    error_message = "Secrets Manager would delete the first version, and Terraform would write it again."
  }
}

run "generates_a_password_that_amazon_mq_accepts" {
  command = plan

  assert {
    condition     = random_password.broker_admin.length == 40 && !random_password.broker_admin.special
    error_message = "Amazon MQ accepts 12 to 250 characters without comma, colon and equals sign."
  }
}

run "can_delete_a_secret_at_once" {
  command = plan

  variables {
    recovery_window_days = 0
  }

  assert {
    condition     = alltrue([for one in aws_secretsmanager_secret.this : one.recovery_window_in_days == 0])
    error_message = "The names stay in use."
  }
}

run "refuses_a_window_outside_the_limits_of_secrets_manager" {
  command = plan

  variables {
    recovery_window_days = 3
  }

  expect_failures = [var.recovery_window_days]
}
