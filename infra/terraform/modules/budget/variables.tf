variable "environment" {
  description = "Name of the deployment."
  type        = string
}

variable "monthly_amount_usd" {
  description = "What a month may cost, in US dollars."
  type        = number

  validation {
    condition     = var.monthly_amount_usd > 0
    error_message = "monthly_amount_usd is more than 0."
  }
}

variable "email_addresses" {
  description = "Who is told, at most ten."
  type        = list(string)

  validation {
    condition     = length(var.email_addresses) >= 1 && length(var.email_addresses) <= 10
    error_message = "email_addresses names 1 to 10 people: AWS Budgets takes no more, and a budget that tells nobody is none."
  }
}

variable "cost_allocation_tag" {
  description = "Counts only what has this tag, such as user:environment$prod; it must be activated in the billing console. Empty: the whole account."
  type        = string
  default     = ""
}
