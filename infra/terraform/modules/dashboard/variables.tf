variable "environment" {
  description = "Name of the deployment: EnvironmentName of template.yaml, and the dimension Environment of its metrics."
  type        = string
}

variable "functions" {
  description = "Names of the functions without paybridge-<environment>-, such as api and relay."
  type        = list(string)
}

variable "queues" {
  description = "All queues of the broker, with the shards and the dead-letter queue."
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
  description = "Location of the runbooks: a path in the repository, or a URL."
  type        = string
  default     = "docs/operators/runbooks.md"
}
