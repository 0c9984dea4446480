# Every alarm of Paybridge but api-5xx and api-latency, which template.yaml declares beside the API: their dimension is
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

  # Without figures such an alarm stays what it was: silence does not end what was wrong. metrics-silent says that there
  # is silence.
  told_by_jobs = { namespace = "Paybridge", missing = "ignore" }
  # Lambda tells nothing of a minute without invocations, and in such a minute nothing fails.
  told_by_lambda = { namespace = "AWS/Lambda", statistic = "Sum", missing = "notBreaching" }
  # A server without figures may be away or not: the alarm then says INSUFFICIENT_DATA, and the functions' errors tell.
  told_by_servers = { period_seconds = 300, periods_bad = 3, periods_looked_at = 3, missing = "missing" }

  in_environment = { Environment = var.environment }

  own = {
    dead-letters = merge(local.told_by_jobs, {
      kind              = "dead-letters"
      description       = "Messages that no function could work on are in ${var.dead_letter_queue}."
      metric            = "QueueDepth"
      dimensions        = merge(local.in_environment, { Queue = var.dead_letter_queue })
      threshold         = 0
      periods_bad       = 1
      periods_looked_at = 1
    })
    outbox-age = merge(local.told_by_jobs, {
      kind        = "outbox-age"
      description = "A message waits in the outbox and is not published: payments are accepted and not charged."
      metric      = "OutboxAge"
      dimensions  = local.in_environment
      threshold   = var.outbox_age_seconds_max
    })
    relay-lag = {
      kind        = "relay-lag"
      description = "The relay publishes, but late."
      namespace   = "Paybridge"
      metric      = "RelayLag"
      dimensions  = local.in_environment
      threshold   = var.relay_lag_seconds_max
      # A relay that published nothing was not late with it. Whether it should have is what outbox-age says.
      missing = "notBreaching"
    }
    metrics-silent = {
      kind              = "metrics-silent"
      description       = "The jobs function tells no figures, so that alarms about outbox, payments and queues are blind."
      namespace         = "Paybridge"
      metric            = "OutboxAge"
      dimensions        = local.in_environment
      statistic         = "SampleCount"
      operator          = "LessThanThreshold"
      threshold         = 1
      periods_bad       = 5
      periods_looked_at = 5
      # Silence is what this one is about.
      missing = "breaching"
    }
    stuck-payments = merge(local.told_by_jobs, {
      kind        = "stuck-payments"
      description = "Payments do not settle: nothing is on its way for them, or they are older than an hour."
      metric      = "StuckPayments"
      dimensions  = local.in_environment
      threshold   = var.stuck_payments_max
      # What the jobs send on counts no more for five minutes: three times in fifteen minutes, and sending on was no cure.
      periods_bad       = 3
      periods_looked_at = 15
    })
  }

  queues = { for queue in var.queues : "queue-depth-${queue}" => merge(local.told_by_jobs, {
    kind              = "queue-depth"
    description       = "Messages wait in the queue ${queue} faster than they are worked off."
    metric            = "QueueDepth"
    dimensions        = merge(local.in_environment, { Queue = queue })
    threshold         = var.queue_depth_max
    periods_bad       = 5
    periods_looked_at = 5
  }) if queue != var.dead_letter_queue }

  functions = merge(
    { for function in var.functions : "function-errors-${function}" => merge(local.told_by_lambda, {
      kind              = "function-errors"
      description       = "Invocations of the function ${function} end with an error or by their timeout."
      metric            = "Errors"
      dimensions        = { FunctionName = "paybridge-${var.environment}-${function}" }
      threshold         = var.function_errors_max
      periods_bad       = contains(var.rare_functions, function) ? 1 : 3
      periods_looked_at = contains(var.rare_functions, function) ? 1 : 5
    }) },
    { for function in var.functions : "function-throttles-${function}" => merge(local.told_by_lambda, {
      kind        = "function-throttles"
      description = "Invocations of the function ${function} are turned away: its concurrency, or the account's, is used up."
      metric      = "Throttles"
      dimensions  = { FunctionName = "paybridge-${var.environment}-${function}" }
      threshold   = var.function_throttles_max
    }) },
  )

  database = { for name, alarm in {
    database-cpu = {
      kind        = "database-cpu"
      description = "The database's processor is busy."
      metric      = "CPUUtilization"
      statistic   = "Average"
      threshold   = var.database_cpu_percent_max
    }
    database-storage = {
      kind        = "database-storage"
      description = "The database's disk fills up; a full one stops everything."
      metric      = "FreeStorageSpace"
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.database_free_storage_bytes_min
      # It never comes back by itself.
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
    } : name => merge(local.told_by_servers, {
      namespace  = "AWS/RDS"
      dimensions = { DBInstanceIdentifier = var.database_identifier }
    }, alarm)
  }

  # In a cluster the figures are those of its three nodes together, and so are the limits.
  broker = { for name, alarm in {
    broker-cpu = {
      kind        = "broker-cpu"
      description = "The broker's processor is busy."
      metric      = "SystemCpuUtilization"
      statistic   = "Average"
      threshold   = var.broker_cpu_percent_max
    }
    broker-memory = {
      kind        = "broker-memory"
      description = "The broker's memory nears the limit at which it blocks publishers; messages then wait in the outbox."
      ratio       = { expression = "100 * used / limit", used = "RabbitMQMemUsed", limit = "RabbitMQMemLimit" }
      threshold   = var.broker_memory_percent_max
    }
    broker-disk = {
      kind        = "broker-disk"
      description = "The broker's disk nears the limit at which it blocks publishers; messages then wait in the outbox."
      ratio       = { expression = "used / limit", used = "RabbitMQDiskFree", limit = "RabbitMQDiskFreeLimit" }
      statistic   = "Minimum"
      operator    = "LessThanThreshold"
      threshold   = var.broker_disk_limits_min
    }
    } : name => merge(local.told_by_servers, {
      namespace  = "AWS/AmazonMQ"
      dimensions = { Broker = var.broker_name }
    }, alarm)
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => merge(local.defaults, { metric = null, ratio = null }, alarm) }

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
          dimensions  = each.value.dimensions
          stat        = each.value.statistic
          period      = each.value.period_seconds
        }
      }
    }
  }

  alarm_actions = [var.topic_arn]
  ok_actions    = [var.topic_arn]
}
