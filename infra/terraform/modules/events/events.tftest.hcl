mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name = "paybridge-test"
}

run "archives_all_events_of_the_bus" {
  command = plan

  assert {
    condition     = aws_cloudwatch_event_archive.this[0].event_source_arn == aws_cloudwatch_event_bus.this.arn && aws_cloudwatch_event_archive.this[0].retention_days == 30
    error_message = "Events cannot be replayed for a month."
  }
}

run "keeps_nothing_on_request" {
  command = plan

  variables {
    archive_days = null
  }

  assert {
    condition     = length(aws_cloudwatch_event_archive.this) == 0
    error_message = "Events are archived."
  }
}

run "refuses_half_a_day" {
  command = plan

  variables {
    archive_days = 0.5
  }

  expect_failures = [var.archive_days]
}
