mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  environment         = "test"
  functions           = ["api", "relay", "consumer", "webhooks", "jobs", "migrate", "rotate"]
  queues              = ["payments.dead", "payments.new", "payments.new.0", "webhooks", "webhooks.retry"]
  database_identifier = "paybridge-test"
  broker_name         = "paybridge-broker"
  alarm_arns          = ["arn:aws:cloudwatch:eu-central-1:123456789012:alarm:paybridge-test-outbox-age"]
}

run "shows_every_function_queue_and_own_metric" {
  command = plan

  assert {
    condition = alltrue([for name in var.functions :
      length([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : 1
        if contains(flatten(try(widget.properties.metrics, [])), "paybridge-test-${name}")
    ]) >= 4])
    error_message = "A function is missing."
  }

  assert {
    condition = length(setsubtract(var.queues, flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      [for metric in try(widget.properties.metrics, []) : metric[5] if metric[1] == "QueueDepth"]
    ]))) == 0
    error_message = "A queue is missing."
  }

  assert {
    condition = alltrue([for name in ["DeadLetters", "LateCharges", "OpenOperations", "OutboxAge", "OutboxDue", "PartitionDaysLeft", "Published", "QueueDepth", "RelayLag", "StuckPayments", "CircuitOpen", "GatewayCalls", "GatewayLatency", "PaymentsAccepted", "PaymentsSettled", "WebhookDeliveries", "Notifications", "ReconciliationBreaks", "FailedReconciliations", "JournalsPosted", "TransfersPosted", "BrokenInvariants", "OutboxGaps"] :
      anytrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
        contains(flatten([for metric in try(widget.properties.metrics, []) : slice(metric, 0, 2)]), name)
      ])
    ])
    error_message = "A metric of our own is missing."
  }
}

run "shows_the_state_of_every_alarm_those_of_the_template_first" {
  command = plan

  assert {
    condition = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.alarms if widget.type == "alarm"] == [[
      "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:paybridge-test-api-5xx",
      "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:paybridge-test-api-latency",
      "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:paybridge-test-outbox-age",
    ]]
    error_message = "One widget with all alarms."
  }
}

run "lays_its_widgets_out_without_overlaps" {
  command = plan

  assert {
    condition = length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${widget.x} ${widget.y}"])) == length(
      jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets
    )
    error_message = "Two widgets have the same place."
  }

  assert {
    condition = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      widget.x + widget.width <= 24 && contains(["text", "alarm", "metric", "log"], widget.type)
    ])
    error_message = "CloudWatch's grid has 24 columns."
  }

  assert {
    condition = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      startswith(trimspace(widget.properties.query), "SOURCE '/aws/http-api/paybridge-test'") if widget.type == "log"
    ])
    error_message = "The API's figures come from its access log."
  }
}
