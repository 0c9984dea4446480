mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name = "paybridge-test"
}

run "rotates_the_key_and_keeps_it_for_a_while_when_deleted" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key does not rotate, or is deleted at once."
  }
}

run "lets_only_logs_and_alarms_of_this_account_use_the_key" {
  command = plan

  assert {
    condition = {
      for one in jsondecode(aws_kms_key.this.policy).Statement : one.Sid => one.Condition if one.Sid != "ByIamPolicies"
      } == {
      LogGroups  = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:eu-central-1:123456789012:*" } }
      AlarmTopic = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }
    error_message = "A service may use the key for other accounts."
  }
}

run "refuses_a_window_outside_the_limits_of_kms" {
  command = plan

  variables {
    deletion_window_days = 3
  }

  expect_failures = [var.deletion_window_days]
}
