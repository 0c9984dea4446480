mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "paybridge-test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  emails      = ["oncall@example.com"]
}

run "is_encrypted_and_open_to_alarms_and_budgets_of_the_account" {
  command = plan

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == var.kms_key_arn
    error_message = "The topic is not encrypted with our key."
  }
  assert {
    condition     = jsondecode(aws_sns_topic_policy.this.policy).Statement[0].Principal.Service == ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    error_message = "Alarms or budgets cannot publish."
  }
  assert {
    condition     = jsondecode(aws_sns_topic_policy.this.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Other accounts' alarms may publish."
  }
}

run "sends_to_each_address" {
  command = plan

  assert {
    condition     = keys(aws_sns_topic_subscription.email) == ["oncall@example.com"]
    error_message = "The address gets nothing."
  }
}

run "refuses_an_invalid_address" {
  command = plan

  variables {
    emails = ["oncall"]
  }

  expect_failures = [var.emails]
}
