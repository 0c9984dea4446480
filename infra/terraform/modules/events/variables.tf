variable "name" {
  description = "Name of the bus, such as paybridge-prod."
  type        = string
}

variable "archive_days" {
  description = "Days for which events can be replayed. 0 keeps them forever."
  type        = number
  default     = 30

  validation {
    condition     = var.archive_days >= 0 && floor(var.archive_days) == var.archive_days
    error_message = "archive_days is a whole number of days, or 0 to keep events forever."
  }
}
