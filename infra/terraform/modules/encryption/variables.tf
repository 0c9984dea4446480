variable "name" {
  description = "Prefix of names, such as paybridge-prod."
  type        = string
}

variable "deletion_window_days" {
  description = "Days between deleting the key and its end, in which it can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days is 7 to 30, the limits of KMS."
  }
}
