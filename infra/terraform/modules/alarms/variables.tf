variable "environment" {
  description = "Name of the deployment: EnvironmentName of template.yaml, and the dimension Environment of its metrics."
  type        = string
}

variable "topic_arn" {
  description = "ARN of the SNS topic that hears of every alarm, and of its end."
  type        = string
}

variable "functions" {
  description = "What the functions are called behind paybridge-<environment>-, such as api and relay."
  type        = list(string)
}

variable "rare_functions" {
  description = "Those of the functions that run once in a while, so that a single error of theirs is worth an alarm."
  type        = list(string)
  default     = ["migrate", "rotate"]
}

variable "queues" {
  description = "Every queue of the broker, with the shards and dead_letter_queue."
  type        = list(string)

  validation {
    condition     = contains(var.queues, var.dead_letter_queue)
    error_message = "queues holds dead_letter_queue as well: pass the output `queues` of the topology."
  }
}

variable "dead_letter_queue" {
  description = "The queue that takes what no function can work on."
  type        = string
  default     = "payments.dead"
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
  description = "Where the runbooks are: a path in the repository, or the URL of that file."
  type        = string
  default     = "docs/operators/runbooks.md"
}

variable "outbox_age_seconds_max" {
  description = "A relay publishes within milliseconds, and a new one starts every minute: one that died is made up for by then."
  type        = number
  default     = 60
}

variable "relay_lag_seconds_max" {
  description = "From due to published takes milliseconds. After some seconds merchants see the difference; half a minute is no peak any more."
  type        = number
  default     = 30
}

variable "stuck_payments_max" {
  description = "Nothing is on its way for such a payment, or it is older than an hour: there should be none."
  type        = number
  default     = 0
}

variable "queue_depth_max" {
  description = "Ten batches of payments, or twenty of webhooks: some minutes of work when the gateway or the receivers are slow."
  type        = number
  default     = 10000
}

variable "function_errors_max" {
  description = "Errors of a function in a minute: what one invocation leaves behind the next one takes up, so it is lasting errors that matter."
  type        = number
  default     = 0
}

variable "function_throttles_max" {
  description = "Throttled invocations of a function in a minute: concurrency is reserved so that there are none."
  type        = number
  default     = 0
}

variable "database_cpu_percent_max" {
  description = "What is left above it is for peaks, and for the autovacuum that keeps the outbox small."
  type        = number
  default     = 80
}

variable "database_free_storage_bytes_min" {
  description = "10 GiB: at 11 KB for a payment with all its rows (docs/operators/cost.md) a million payments, so days to act. A full disk stops everything."
  type        = number
  default     = 10737418240
}

variable "database_connections_max" {
  description = "The functions need about 65 at their most: ApiReservedConcurrency (50), two for each relay, one for each other environment. More is a leak, or a limit that was raised without this one."
  type        = number
  default     = 80
}

variable "database_freeable_memory_bytes_min" {
  description = "256 MiB: below it the server begins to swap, and each connection takes some MiB of it."
  type        = number
  default     = 268435456
}

variable "broker_cpu_percent_max" {
  description = "Quorum queues agree on every message among three nodes: a busy processor shows as slow confirms."
  type        = number
  default     = 75
}

variable "broker_memory_percent_max" {
  description = "Percent of RabbitMQMemLimit, at which the broker blocks publishers; the outbox grows from then on."
  type        = number
  default     = 80
}

variable "broker_disk_limits_min" {
  description = "Free disk as a multiple of RabbitMQDiskFreeLimit, at which the broker blocks publishers."
  type        = number
  default     = 2
}
