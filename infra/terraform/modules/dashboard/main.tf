# One page: alarms on top, then the path of a payment from left to right, and the servers at the bottom.

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  region    = data.aws_region.current.region
  functions = { for name in var.functions : name => "paybridge-${var.environment}-${name}" }
  own       = ["Environment", var.environment]
  instance  = ["DBInstanceIdentifier", var.database_identifier]
  broker    = ["Broker", var.broker_name]
  # The API's figures come from its access log, whose name is known. Its metrics need its id, which is not known here.
  access_log = "SOURCE '/aws/http-api/paybridge-${var.environment}'"

  # template.yaml declares these two, because their dimension is the API's id.
  api_alarms = [for kind in ["api-5xx", "api-latency"] : join(":", [
    "arn", data.aws_partition.current.partition, "cloudwatch", local.region,
    data.aws_caller_identity.current.account_id, "alarm", "paybridge-${var.environment}-${kind}",
  ])]

  # Four columns of six units. Metrics are written as in the source of a CloudWatch dashboard.
  rows = [
    [
      { title = "API: answers a minute", query = "${local.access_log} | stats count(*) as answers by bin(1m)" },
      { title = "Outbox: due, and age of the oldest", stat = "Maximum", metrics = [
        concat(["Paybridge", "OutboxDue"], local.own),
        concat(["Paybridge", "OutboxAge"], local.own, [{ yAxis = "right" }]),
      ] },
      { title = "Queues: waiting messages", stat = "Maximum", metrics = [
        for queue in var.queues : concat(["Paybridge", "QueueDepth"], local.own, ["Queue", queue])
      ] },
      { title = "Functions: invocations", stat = "Sum", metrics = [
        for name, function in local.functions : ["AWS/Lambda", "Invocations", "FunctionName", function, { label = name }]
      ] },
    ],
    [
      { title = "API: answers of 5xx", query = "${local.access_log} | filter status like /^5/ | stats count(*) as failed by bin(1m)" },
      { title = "Relay: published, and the longest lag", metrics = [
        concat(["Paybridge", "Published"], local.own, [{ stat = "Sum" }]),
        concat(["Paybridge", "RelayLag"], local.own, [{ stat = "Maximum", yAxis = "right" }]),
      ] },
      { title = "Payments that do not settle, dead letters, and days until a partition is missing", stat = "Maximum", metrics = [
        concat(["Paybridge", "StuckPayments"], local.own),
        concat(["Paybridge", "OpenOperations"], local.own),
        concat(["Paybridge", "DeadLetters"], local.own),
        concat(["Paybridge", "LateCharges"], local.own, [{ stat = "Sum" }]),
        concat(["Paybridge", "ReconciliationBreaks"], local.own),
        concat(["Paybridge", "FailedReconciliations"], local.own),
        concat(["Paybridge", "BrokenInvariants"], local.own),
        concat(["Paybridge", "OutboxGaps"], local.own),
        concat(["Paybridge", "PartitionDaysLeft"], local.own, [{ stat = "Minimum", yAxis = "right" }]),
      ] },
      { title = "Functions: errors and throttles", stat = "Sum", metrics = concat(
        [for name, function in local.functions : ["AWS/Lambda", "Errors", "FunctionName", function, { label = "${name} errors" }]],
        [for name, function in local.functions : ["AWS/Lambda", "Throttles", "FunctionName", function, { label = "${name} throttles" }]],
      ) },
    ],
    [
      { title = "API: milliseconds", query = "${local.access_log} | stats pct(latency_ms, 50) as p50, pct(latency_ms, 99) as p99 by bin(1m)" },
      { title = "Functions: milliseconds, p99", stat = "p99", metrics = [
        for name, function in local.functions : ["AWS/Lambda", "Duration", "FunctionName", function, { label = name }]
      ] },
      { title = "Functions: environments at once", stat = "Maximum", metrics = [
        for name, function in local.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", function, { label = name }]
      ] },
    ],
    [
      { title = "Payments: accepted, settled and posted to the books", stat = "Sum", metrics = concat(
        [concat(["Paybridge", "PaymentsAccepted"], local.own)],
        [concat(["Paybridge", "JournalsPosted"], local.own), concat(["Paybridge", "TransfersPosted"], local.own)],
        [for outcome in ["succeeded", "failed"] : concat(["Paybridge", "PaymentsSettled"], local.own, ["Outcome", outcome, { label = outcome }])],
      ) },
      { title = "Gateway: calls by result", stat = "Sum", metrics = [
        for result in ["charged", "declined", "pending", "rate_limited", "unknown"] :
        concat(["Paybridge", "GatewayCalls"], local.own, ["Result", result, { label = result }])
      ] },
      { title = "Gateway: milliseconds, and the circuit", metrics = [
        concat(["Paybridge", "GatewayLatency"], local.own, [{ stat = "p50", label = "p50" }]),
        concat(["Paybridge", "GatewayLatency"], local.own, [{ stat = "p99", label = "p99" }]),
        concat(["Paybridge", "CircuitOpen"], local.own, [{ stat = "Maximum", yAxis = "right" }]),
      ] },
      { title = "Webhooks: attempts by result", stat = "Sum", metrics = [
        for result in ["delivered", "retry", "failed", "gone"] :
        concat(["Paybridge", "WebhookDeliveries"], local.own, ["Result", result, { label = result }])
      ] },
    ],
    [
      { title = "Database: processor and connections", metrics = [
        concat(["AWS/RDS", "CPUUtilization"], local.instance, [{ stat = "Average" }]),
        concat(["AWS/RDS", "DatabaseConnections"], local.instance, [{ stat = "Maximum", yAxis = "right" }]),
      ] },
      { title = "Database: free memory and disk", stat = "Minimum", metrics = [
        concat(["AWS/RDS", "FreeableMemory"], local.instance),
        concat(["AWS/RDS", "FreeStorageSpace"], local.instance, [{ yAxis = "right" }]),
      ] },
      { title = "Broker: processor", stat = "Average", metrics = [
        concat(["AWS/AmazonMQ", "SystemCpuUtilization"], local.broker),
      ] },
      { title = "Broker: messages a second", stat = "Average", metrics = [
        concat(["AWS/AmazonMQ", "PublishRate"], local.broker),
        concat(["AWS/AmazonMQ", "AckRate"], local.broker),
      ] },
    ],
    [
      { title = "Broker: memory and its limit", stat = "Maximum", metrics = [
        concat(["AWS/AmazonMQ", "RabbitMQMemUsed"], local.broker),
        concat(["AWS/AmazonMQ", "RabbitMQMemLimit"], local.broker),
      ] },
      { title = "Broker: free disk and its limit", stat = "Minimum", metrics = [
        concat(["AWS/AmazonMQ", "RabbitMQDiskFree"], local.broker),
        concat(["AWS/AmazonMQ", "RabbitMQDiskFreeLimit"], local.broker),
      ] },
      { title = "E-mail and SMS: attempts by result", stat = "Sum", metrics = [
        for result in ["sent", "retrying", "failed", "unclear"] :
        concat(["Paybridge", "Notifications"], local.own, ["Result", result, { label = result }])
      ] },
      { title = "EventBridge: events by result", stat = "Sum", metrics = [
        for result in ["sent", "retrying", "refused"] :
        concat(["Paybridge", "BridgedEvents"], local.own, ["Result", result, { label = result }])
      ] },
    ],
  ]

  head = [
    { type = "text", x = 0, y = 0, width = 24, height = 2, properties = {
      markdown = "# paybridge-${var.environment}\nA payment goes from left to right: API, outbox and relay, queues, functions. Every alarm has a runbook: ${var.runbook_url}"
    } },
    { type = "alarm", x = 0, y = 2, width = 24, height = 4, properties = {
      title  = "Alarms"
      alarms = concat(local.api_alarms, var.alarm_arns)
    } },
  ]

  charts = flatten([for row, content in local.rows : [for column, chart in content : {
    type   = can(chart.query) ? "log" : "metric"
    x      = 6 * column
    y      = 6 + 6 * row
    width  = 6
    height = 6
    properties = merge({ title = chart.title, region = local.region, view = "timeSeries" }, try(
      { query = chart.query },
      { metrics = chart.metrics, stat = try(chart.stat, "Average"), period = 60 },
    ))
  }]])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "paybridge-${var.environment}"
  dashboard_body = jsonencode({ widgets = concat(local.head, local.charts) })
}
