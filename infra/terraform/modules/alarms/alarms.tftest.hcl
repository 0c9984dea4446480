mock_provider "aws" {}

variables {
  environment         = "test"
  topic_arn           = "arn:aws:sns:eu-central-1:123456789012:paybridge-test-alarms"
  functions           = ["api", "relay", "migrate"]
  queues              = ["payments.dead", "payments.new", "payments.new.0", "webhooks"]
  database_identifier = "paybridge-test"
  broker_name         = "paybridge-test"
}

run "each_function_queue_and_server_has_its_alarms" {
  command = apply

  assert {
    condition = toset([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]) == toset([
      "paybridge-test-bridge-failing",
      "paybridge-test-broker-cpu",
      "paybridge-test-broker-disk",
      "paybridge-test-broker-memory",
      "paybridge-test-database-connections",
      "paybridge-test-database-cpu",
      "paybridge-test-database-memory",
      "paybridge-test-database-storage",
      "paybridge-test-dead-letters",
      "paybridge-test-function-errors-api",
      "paybridge-test-function-errors-migrate",
      "paybridge-test-function-errors-relay",
      "paybridge-test-function-throttles-api",
      "paybridge-test-function-throttles-migrate",
      "paybridge-test-function-throttles-relay",
      "paybridge-test-invariants-broken",
      "paybridge-test-late-charges",
      "paybridge-test-gateway-failing-calls",
      "paybridge-test-gateway-failing-circuit",
      "paybridge-test-metrics-silent",
      "paybridge-test-no-payments",
      "paybridge-test-notifications-failing",
      "paybridge-test-open-operations",
      "paybridge-test-outbox-age",
      "paybridge-test-outbox-gaps",
      "paybridge-test-partitions-missing",
      "paybridge-test-queue-depth-payments.dead",
      "paybridge-test-queue-depth-payments.new",
      "paybridge-test-queue-depth-payments.new.0",
      "paybridge-test-queue-depth-webhooks",
      "paybridge-test-reconciliation-breaks",
      "paybridge-test-reconciliation-failed",
      "paybridge-test-relay-lag",
      "paybridge-test-stuck-payments",
      "paybridge-test-webhooks-failing",
    ])
    error_message = "The alarms are not exactly these."
  }

  assert {
    condition = alltrue([for name, alarm in aws_cloudwatch_metric_alarm.this :
      endswith(alarm.alarm_description, " Runbook: docs/operators/runbooks.md#${local.alarms[name].kind}")
      && startswith(name, local.alarms[name].kind)
    ])
    error_message = "Each alarm's description ends with the runbook of its kind."
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset([var.topic_arn]) && alarm.ok_actions == toset([var.topic_arn])
    ])
    error_message = "Each alarm notifies the topic when it begins and when it ends."
  }

  assert {
    condition     = length(output.arns) == length(local.alarms) && length(output.kinds) == 27
    error_message = "The outputs name every alarm and every kind."
  }
}

run "an_old_message_in_the_outbox_alarms_within_minutes" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["outbox-age"].namespace == "Paybridge"
      && aws_cloudwatch_metric_alarm.this["outbox-age"].dimensions == tomap({ Environment = "test" })
      && aws_cloudwatch_metric_alarm.this["outbox-age"].threshold == 60
      && aws_cloudwatch_metric_alarm.this["outbox-age"].period == 60
      && aws_cloudwatch_metric_alarm.this["outbox-age"].datapoints_to_alarm == 3
      && aws_cloudwatch_metric_alarm.this["outbox-age"].evaluation_periods == 5
    )
    error_message = "More than 60 s in 3 of 5 minutes."
  }
}

run "one_dead_letter_alarms_at_once" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["dead-letters"].threshold == 0
      && aws_cloudwatch_metric_alarm.this["dead-letters"].evaluation_periods == 1
      && aws_cloudwatch_metric_alarm.this["dead-letters"].metric_name == "DeadLetters"
      && aws_cloudwatch_metric_alarm.this["dead-letters"].dimensions == tomap({ Environment = "test" })
    )
    error_message = "More than 0 dead letters in any minute."
  }
}

run "missing_data_raises_only_the_alarms_about_silence" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["metrics-silent"].treat_missing_data == "breaching"
      && aws_cloudwatch_metric_alarm.this["metrics-silent"].statistic == "SampleCount"
      && aws_cloudwatch_metric_alarm.this["metrics-silent"].comparison_operator == "LessThanThreshold"
      && [for name, alarm in aws_cloudwatch_metric_alarm.this : name if alarm.treat_missing_data == "breaching"] == ["metrics-silent", "no-payments"]
    )
    error_message = "Only metrics-silent and no-payments treat missing data as a fault."
  }

  assert {
    condition = alltrue([for kind in ["dead-letters", "open-operations", "outbox-age", "stuck-payments", "queue-depth-webhooks"] :
      aws_cloudwatch_metric_alarm.this[kind].treat_missing_data == "ignore"
    ])
    error_message = "Alarms on the metrics of the jobs function must not end because metrics are missing."
  }
}

run "shares_are_counted_by_result" {
  command = plan

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.this["gateway-failing-calls"].metric_query :
      query.id => lookup(tolist(query.metric)[0].dimensions, "Result", "all") if length(query.metric) > 0
    } == { calls = "all", unknown = "unknown" }
    error_message = "The share of the calls without a clear answer among all."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.this["webhooks-failing"].metric_query :
      query.id => lookup(tolist(query.metric)[0].dimensions, "Result", "all") if length(query.metric) > 0
    } == { attempts = "all", delivered = "delivered" }
    error_message = "What is left of all attempts without those that delivered."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.this["notifications-failing"].metric_query :
      query.id => lookup(tolist(query.metric)[0].dimensions, "Result", "all") if length(query.metric) > 0
    } == { attempts = "all", sent = "sent" }
    error_message = "What is left of all attempts without those that were sent."
  }

  assert {
    condition = { for query in aws_cloudwatch_metric_alarm.this["bridge-failing"].metric_query :
      query.id => lookup(tolist(query.metric)[0].dimensions, "Result", "all") if length(query.metric) > 0
    } == { attempts = "all", sent = "sent" }
    error_message = "What is left of all attempts without those that were sent."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-payments"].evaluation_periods == 12
    error_message = "An hour has twelve periods of five minutes."
  }
}

run "a_function_that_runs_rarely_may_not_fail_once" {
  command = plan

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["function-errors-migrate"].datapoints_to_alarm == 1
      && aws_cloudwatch_metric_alarm.this["function-errors-migrate"].dimensions == tomap({ FunctionName = "paybridge-test-migrate" })
      && aws_cloudwatch_metric_alarm.this["function-errors-relay"].datapoints_to_alarm == 3
    )
    error_message = "One error of migrate raises an alarm. One error of the relay does not, because its next invocation replaces it."
  }
}

run "the_broker_is_held_to_its_own_limits" {
  command = plan

  assert {
    condition = toset([for query in aws_cloudwatch_metric_alarm.this["broker-memory"].metric_query : query.expression if query.return_data]) == toset([
      "100 * used / limit",
    ])
    error_message = "Memory is a share of RabbitMQMemLimit."
  }

  assert {
    condition = toset(flatten([for query in aws_cloudwatch_metric_alarm.this["broker-disk"].metric_query : query.metric[*].metric_name])) == toset([
      "RabbitMQDiskFree", "RabbitMQDiskFreeLimit",
    ])
    error_message = "The free disk is compared with RabbitMQDiskFreeLimit."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["broker-cpu"].dimensions == tomap({ Broker = "paybridge-test" })
    error_message = "The broker is found by its name."
  }
}

run "limits_can_be_set" {
  command = plan

  variables {
    outbox_age_seconds_max = 120
    queue_depth_max        = 7
    runbook_url            = "https://example.com/runbooks"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["outbox-age"].threshold == 120
      && aws_cloudwatch_metric_alarm.this["queue-depth-webhooks"].threshold == 7
      && endswith(aws_cloudwatch_metric_alarm.this["relay-lag"].alarm_description, "https://example.com/runbooks#relay-lag")
    )
    error_message = "Variables reach the alarms."
  }
}
