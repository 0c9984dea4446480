variable "name" {
  description = "Prefix of names, such as paybridge-prod."
  type        = string
}

variable "deletion_window_days" {
  description = "Days in which a deleted key can be restored."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days is 7 to 30, the limits of KMS."
  }
}
