variable "name" {
  description = "Name of the bus, such as paybridge-prod."
  type        = string
}

variable "archive_days" {
  description = "Days for which EventBridge can replay events. 0 keeps them forever, null keeps none."
  type        = number
  default     = 30

  validation {
    condition     = var.archive_days == null ? true : var.archive_days >= 0 && floor(var.archive_days) == var.archive_days
    error_message = "archive_days is a whole number of days, 0 to keep events forever, or null to keep none."
  }
}
