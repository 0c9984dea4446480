variable "environment" {
  description = "Name of the deployment."
  type        = string
}

variable "monthly_amount_usd" {
  description = "Budget for a month in US dollars."
  type        = number

  validation {
    condition     = var.monthly_amount_usd > 0
    error_message = "monthly_amount_usd is more than 0."
  }
}

variable "email_addresses" {
  description = "Recipients of the notifications, at most ten."
  type        = list(string)

  validation {
    condition     = length(var.email_addresses) >= 1 && length(var.email_addresses) <= 10
    error_message = "email_addresses has 1 to 10 addresses. AWS Budgets accepts no more, and a budget without recipients is useless."
  }
}

variable "cost_allocation_tag" {
  description = "Count only resources with this tag, such as user:environment$prod. Activate the tag in the billing console. Empty counts the whole account."
  type        = string
  default     = ""
}
