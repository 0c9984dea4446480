# All alarms of Paybridge except api-5xx and api-latency. template.yaml declares those two, because their dimension is
# the API's id (docs/decisions/0015-custom-metrics-by-jobs.md).

locals {
  alarms = merge(local.own, local.queues, local.functions, local.database, local.broker)

  defaults = {
    operator          = "GreaterThanThreshold"
    statistic         = "Maximum"
    period_seconds    = 60
    periods_bad       = 3
    periods_looked_at = 5
  }

  # Without data such an alarm keeps its state: silence does not mean that the problem is over. metrics-silent reports
  # the silence.
  emitted_by_jobs = { namespace = "Paybridge", missing = "ignore" }
  # Lambda emits no metrics for a minute without invocations. Nothing fails in such a minute.
  emitted_by_lambda = { namespace = "AWS/Lambda", statistic = "Sum", missing = "notBreaching" }
  # A server without metrics may be down or not. The alarm then shows INSUFFICIENT_DATA, and the functions' errors tell
  # which.
  emitted_by_servers = { period_seconds = 300, periods_bad = 3, periods_looked_at = 3, missing = "missing" }

  # A batch emits what it did. Without batches nothing failed.
  emitted_by_batches = { namespace = "Paybridge", statistic = "Sum", missing = "notBreaching" }

  in_environment = { Environment = var.environment }

  own = {
    dead-letters = merge(local.emitted_by_jobs, {
      kind              = "dead-letters"
      description       = "Dead letters wait for an operator."
      metric            = "DeadLetters"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    late-charges = {
      kind        = "late-charges"
      description = "The gateway charged payments that had been given up. The money is given back."
      namespace   = "Paybridge"
      metric      = "LateCharges"
      dimensions  = local.in_environment
      statistic   = "Sum"
      threshold   = 0
      # Each is found once. The alarm is OK again a minute later, and the money may be on its way back for longer.
      periods_bad       = 1
      periods_looked_at = 1
      missing           = "notBreaching"
    }
    reconciliation-breaks = merge(local.emitted_by_jobs, {
      kind              = "reconciliation-breaks"
      description       = "The gateway's statement, the payments and the ledger do not agree."
      metric            = "ReconciliationBreaks"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    reconciliation-failed = merge(local.emitted_by_jobs, {
      kind              = "reconciliation-failed"
      description       = "A day could not be reconciled, or its breaks do not explain the difference."
      metric            = "FailedReconciliations"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    invariants-broken = merge(local.emitted_by_jobs, {
      kind              = "invariants-broken"
      description       = "The books, the payments or the outbox contradict each other."
      metric            = "BrokenInvariants"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    open-operations = merge(local.emitted_by_jobs, {
      kind        = "open-operations"
      description = "Captures, cancellations or refunds have had no outcome for more than a day."
      metric      = "OpenOperations"
      dimensions  = local.in_environment
      threshold   = 0
    })
    outbox-gaps = merge(local.emitted_by_jobs, {
      kind              = "outbox-gaps"
      description       = "The nightly audit found changes without an event, or events that were lost."
      metric            = "OutboxGaps"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    outbox-age = merge(local.emitted_by_jobs, {
      kind        = "outbox-age"
      description = "A message in the outbox is not published. Payments are accepted but not charged."
      metric      = "OutboxAge"
      dimensions  = local.in_environment
      threshold   = var.outbox_age_seconds_max
    })
    partitions-missing = merge(local.emitted_by_jobs, {
      kind        = "partitions-missing"
      description = "Less than a month is left until rows have no partition of their month."
      metric      = "PartitionDaysLeft"
      dimensions  = local.in_environment
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      # Partitions are created a quarter ahead. The jobs function has been trying for two months by then.
      threshold = 31
    })
    relay-lag = {
      kind        = "relay-lag"
      description = "The relay publishes late."
      namespace   = "Paybridge"
      metric      = "RelayLag"
      dimensions  = local.in_environment
      threshold   = var.relay_lag_seconds_max
      # A relay that published nothing was not late. Whether it should have published is the matter of outbox-age.
      missing = "notBreaching"
    }
    gateway-failing-calls = merge(local.emitted_by_batches, {
      kind        = "gateway-failing"
      description = "Too many calls to the gateway get no clear answer."
      ratio       = { expression = "100 * FILL(unknown, 0) / calls", unknown = "GatewayCalls", calls = "GatewayCalls" }
      parts       = { unknown = { Result = "unknown" } }
      dimensions  = local.in_environment
      threshold   = var.gateway_unknown_percent_max
    })
    gateway-failing-circuit = merge(local.emitted_by_jobs, {
      kind              = "gateway-failing"
      description       = "The circuit of the gateway is open: it is hardly called, and payments wait."
      metric            = "CircuitOpen"
      dimensions        = local.in_environment
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    webhooks-failing = merge(local.emitted_by_batches, {
      kind        = "webhooks-failing"
      description = "Too many attempts to deliver webhooks fail."
      ratio       = { expression = "100 - 100 * FILL(delivered, 0) / attempts", delivered = "WebhookDeliveries", attempts = "WebhookDeliveries" }
      parts       = { delivered = { Result = "delivered" } }
      dimensions  = local.in_environment
      threshold   = var.webhooks_failed_percent_max
    })
    notifications-failing = merge(local.emitted_by_batches, {
      kind        = "notifications-failing"
      description = "Too many attempts to send e-mails and SMS fail or are unclear."
      ratio       = { expression = "100 - 100 * FILL(sent, 0) / attempts", sent = "Notifications", attempts = "Notifications" }
      parts       = { sent = { Result = "sent" } }
      dimensions  = local.in_environment
      threshold   = var.notifications_failed_percent_max
    })
    bridge-failing = merge(local.emitted_by_batches, {
      kind        = "bridge-failing"
      description = "EventBridge takes too few events: other AWS systems hear late."
      ratio       = { expression = "100 - 100 * FILL(sent, 0) / attempts", sent = "BridgedEvents", attempts = "BridgedEvents" }
      parts       = { sent = { Result = "sent" } }
      dimensions  = local.in_environment
      threshold   = var.bridged_failed_percent_max
    })
    no-payments = {
      kind              = "no-payments"
      description       = "No payment was accepted for a while."
      namespace         = "Paybridge"
      metric            = "PaymentsAccepted"
      dimensions        = local.in_environment
      statistic         = "Sum"
      operator          = "LessThanThreshold"
      threshold         = 1
      period_seconds    = 300
      periods_bad       = ceil(var.no_payments_minutes / 5)
      periods_looked_at = ceil(var.no_payments_minutes / 5)
      # The metric is emitted with each payment, so its silence is what this alarm is about.
      missing = "breaching"
    }
    metrics-silent = {
      kind              = "metrics-silent"
      description       = "The jobs function emits no metrics. The alarms on outbox, payments and queues are blind."
      namespace         = "Paybridge"
      metric            = "OutboxAge"
      dimensions        = local.in_environment
      statistic         = "SampleCount"
      operator          = "LessThanThreshold"
      threshold         = 1
      periods_bad       = 5
      periods_looked_at = 5
      # This alarm is about missing data.
      missing = "breaching"
    }
    stuck-payments = merge(local.emitted_by_jobs, {
      kind        = "stuck-payments"
      description = "Payments do not settle. They have stalled, or they are older than an hour."
      metric      = "StuckPayments"
      dimensions  = local.in_environment
      threshold   = var.stuck_payments_max
      # The jobs requeue a stuck payment, which then does not count for five minutes. Three times in fifteen minutes
      # means that requeueing did not help.
      periods_bad       = 3
      periods_looked_at = 15
    })
  }

  queues = { for queue in var.queues : "queue-depth-${queue}" => merge(local.emitted_by_jobs, {
    kind              = "queue-depth"
    description       = "The queue ${queue} grows faster than it is consumed."
    metric            = "QueueDepth"
    dimensions        = merge(local.in_environment, { Queue = queue })
    threshold         = var.queue_depth_max
    periods_bad       = 5
    periods_looked_at = 5
  }) }

  functions = merge(
    { for function in var.functions : "function-errors-${function}" => merge(local.emitted_by_lambda, {
      kind              = "function-errors"
      description       = "Invocations of the function ${function} fail or time out."
      metric            = "Errors"
      dimensions        = { FunctionName = "paybridge-${var.environment}-${function}" }
      threshold         = var.function_errors_max
      periods_bad       = contains(var.rare_functions, function) ? 1 : 3
      periods_looked_at = contains(var.rare_functions, function) ? 1 : 5
    }) },
    { for function in var.functions : "function-throttles-${function}" => merge(local.emitted_by_lambda, {
      kind        = "function-throttles"
      description = "Invocations of the function ${function} are throttled. Its concurrency, or the account's, is used up."
      metric      = "Throttles"
      dimensions  = { FunctionName = "paybridge-${var.environment}-${function}" }
      threshold   = var.function_throttles_max
    }) },
  )

  database = { for name, alarm in {
    database-cpu = {
      kind        = "database-cpu"
      description = "The database's CPU is busy."
      metric      = "CPUUtilization"
      statistic   = "Average"
      threshold   = var.database_cpu_percent_max
    }
    database-storage = {
      kind        = "database-storage"
      description = "The database's disk is filling up. A full disk stops everything."
      metric      = "FreeStorageSpace"
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.database_free_storage_bytes_min
      # Disk space never recovers without action.
      periods_bad       = 1
      periods_looked_at = 1
    }
    database-connections = {
      kind        = "database-connections"
      description = "The database has more connections than the functions need."
      metric      = "DatabaseConnections"
      threshold   = var.database_connections_max
    }
    database-memory = {
      kind        = "database-memory"
      description = "The database runs out of memory."
      metric      = "FreeableMemory"
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.database_freeable_memory_bytes_min
    }
    } : name => merge(local.emitted_by_servers, {
      namespace  = "AWS/RDS"
      dimensions = { DBInstanceIdentifier = var.database_identifier }
    }, alarm)
  }

  # In a cluster, metrics and limits are sums over its three nodes.
  broker = { for name, alarm in {
    broker-cpu = {
      kind        = "broker-cpu"
      description = "The broker's CPU is busy."
      metric      = "SystemCpuUtilization"
      statistic   = "Average"
      threshold   = var.broker_cpu_percent_max
    }
    broker-memory = {
      kind        = "broker-memory"
      description = "The broker's memory nears the limit at which it blocks publishers. Messages then wait in the outbox."
      ratio       = { expression = "100 * used / limit", used = "RabbitMQMemUsed", limit = "RabbitMQMemLimit" }
      threshold   = var.broker_memory_percent_max
    }
    broker-disk = {
      kind        = "broker-disk"
      description = "The broker's disk nears the limit at which it blocks publishers. Messages then wait in the outbox."
      ratio       = { expression = "used / limit", used = "RabbitMQDiskFree", limit = "RabbitMQDiskFreeLimit" }
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.broker_disk_limits_min
    }
    } : name => merge(local.emitted_by_servers, {
      namespace  = "AWS/AmazonMQ"
      dimensions = { Broker = var.broker_name }
    }, alarm)
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => merge(local.defaults, { metric = null, ratio = null, parts = {} }, alarm) }

  alarm_name        = "paybridge-${var.environment}-${each.key}"
  alarm_description = "${each.value.description} Runbook: ${var.runbook_url}#${each.value.kind}"

  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods_looked_at
  datapoints_to_alarm = each.value.periods_bad
  treat_missing_data  = each.value.missing

  namespace   = each.value.ratio == null ? each.value.namespace : null
  metric_name = each.value.metric
  dimensions  = each.value.ratio == null ? each.value.dimensions : null
  statistic   = each.value.ratio == null ? each.value.statistic : null
  period      = each.value.ratio == null ? each.value.period_seconds : null

  dynamic "metric_query" {
    for_each = each.value.ratio == null ? {} : each.value.ratio
    content {
      id          = metric_query.key == "expression" ? "ratio" : metric_query.key
      label       = metric_query.value
      expression  = metric_query.key == "expression" ? metric_query.value : null
      return_data = metric_query.key == "expression"

      dynamic "metric" {
        for_each = metric_query.key == "expression" ? [] : [metric_query.value]
        content {
          namespace   = each.value.namespace
          metric_name = metric.value
          dimensions  = merge(each.value.dimensions, lookup(each.value.parts, metric_query.key, {}))
          stat        = each.value.statistic
          period      = each.value.period_seconds
        }
      }
    }
  }

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}
