variable "environment" {
  description = "Name of the deployment: EnvironmentName of template.yaml, and the dimension Environment of its metrics."
  type        = string
}

variable "topic_arn" {
  description = "ARN of the SNS topic that each alarm notifies, also when it ends."
  type        = string
}

variable "functions" {
  description = "Names of the functions without paybridge-<environment>-, such as api and relay."
  type        = list(string)
}

variable "rare_functions" {
  description = "The functions that run rarely. A single error of one of them raises an alarm."
  type        = list(string)
  default     = ["migrate", "rotate"]
}

variable "queues" {
  description = "All queues of the broker, with the shards and the dead-letter queues."
  type        = list(string)
}

variable "database_identifier" {
  description = "Identifier of the RDS instance."
  type        = string
}

variable "broker_name" {
  description = "Name of the Amazon MQ broker."
  type        = string
}

variable "runbook_url" {
  description = "Location of the runbooks: a path in the repository, or a URL."
  type        = string
  default     = "docs/operators/runbooks.md"
}

variable "outbox_age_seconds_max" {
  description = "A relay publishes within milliseconds, and a new one starts every minute and replaces a failed one."
  type        = number
  default     = 60
}

variable "relay_lag_seconds_max" {
  description = "Publishing a due row takes milliseconds. Merchants notice a few seconds. Half a minute is no longer a peak."
  type        = number
  default     = 30
}

variable "gateway_unknown_percent_max" {
  description = "Share of the calls to the gateway that may get no clear answer, in three of five minutes."
  type        = number
  default     = 20
}

variable "webhooks_failed_percent_max" {
  description = "Share of the attempts at webhooks that may fail, in three of five minutes. One merchant's receiver may be down for days."
  type        = number
  default     = 50
}

variable "notifications_failed_percent_max" {
  description = "Share of the attempts at e-mails and SMS that may fail or be unclear, in three of five minutes."
  type        = number
  default     = 50
}

variable "bridged_failed_percent_max" {
  description = "Share of the attempts to send events to the EventBridge bus that may fail, in three of five minutes."
  type        = number
  default     = 20
}

variable "no_payments_minutes" {
  description = "How long no payment may be accepted, in steps of five minutes. Raise it above the longest quiet time of a night."
  type        = number
  default     = 60

  validation {
    condition     = var.no_payments_minutes >= 5 && var.no_payments_minutes <= 1440
    error_message = "CloudWatch looks back a day at most: choose 5 to 1440 minutes."
  }
}

variable "stuck_payments_max" {
  description = "Such a payment has stalled, or is older than an hour. There should be none."
  type        = number
  default     = 0
}

variable "queue_depth_max" {
  description = "Ten batches of payments, or twenty of webhooks. That is some minutes of work when the gateway or receivers are slow."
  type        = number
  default     = 10000
}

variable "function_errors_max" {
  description = "Errors of a function in a minute. The next invocation takes up the work of a failed one, so only lasting errors matter."
  type        = number
  default     = 0
}

variable "function_throttles_max" {
  description = "Throttled invocations of a function in a minute. Reserved concurrency should prevent any."
  type        = number
  default     = 0
}

variable "database_cpu_percent_max" {
  description = "The rest is for peaks, and for the autovacuum that keeps the outbox small."
  type        = number
  default     = 80
}

variable "database_free_storage_bytes_min" {
  description = "10 GiB hold about a million payments with all rows, at 11 KB each (docs/operators/cost.md). That leaves days to act. A full disk stops everything."
  type        = number
  default     = 10737418240
}

variable "database_connections_max" {
  description = "The functions need about 65 at most: ApiReservedConcurrency (50), two for each relay, one for each other environment. More means a leak, or a limit raised without this one."
  type        = number
  default     = 80
}

variable "database_freeable_memory_bytes_min" {
  description = "Below 256 MiB the server begins to swap. Each connection takes some MiB."
  type        = number
  default     = 268435456
}

variable "broker_cpu_percent_max" {
  description = "Quorum queues agree on each message among three nodes. A busy CPU shows as slow confirms."
  type        = number
  default     = 75
}

variable "broker_memory_percent_max" {
  description = "Percent of RabbitMQMemLimit, at which the broker blocks publishers. The outbox grows from then on."
  type        = number
  default     = 80
}

variable "broker_disk_limits_min" {
  description = "Free disk as a multiple of RabbitMQDiskFreeLimit, at which the broker blocks publishers."
  type        = number
  default     = 2
}
