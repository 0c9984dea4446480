variable "name" {
  description = "Prefix of the topic's name, such as paybridge-prod."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the topic. Its policy lets CloudWatch and Budgets use it."
  type        = string
}

variable "emails" {
  description = "Email addresses for all alarms. Each has to confirm the first message."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for one in var.emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", one))])
    error_message = "emails has addresses such as oncall@example.com."
  }
}
