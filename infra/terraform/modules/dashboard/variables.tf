variable "environment" {
  description = "Name of the deployment: EnvironmentName of template.yaml, and the dimension Environment of its metrics."
  type        = string
}

variable "functions" {
  description = "What the functions are called behind paybridge-<environment>-, such as api and relay."
  type        = list(string)
}

variable "queues" {
  description = "Every queue of the broker, with the shards and the dead letters."
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

variable "alarm_arns" {
  description = "ARNs of the alarms shown on top: the output `arns` of the module alarms. Those of template.yaml are added here."
  type        = list(string)
}

variable "runbook_url" {
  description = "Where the runbooks are: a path in the repository, or the URL of that file."
  type        = string
  default     = "docs/operators/runbooks.md"
}
