variable "name" {
  description = "Prefix of the secrets' names, such as paybridge-prod."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the secrets."
  type        = string
}

variable "recovery_window_days" {
  description = "Days in which a deleted secret can be restored. 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_window_days == 0 || (var.recovery_window_days >= 7 && var.recovery_window_days <= 30)
    error_message = "recovery_window_days is 0 or 7 to 30, the limits of Secrets Manager."
  }
}
