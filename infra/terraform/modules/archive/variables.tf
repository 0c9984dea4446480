variable "name" {
  description = "Prefix of the bucket's name, such as paybridge-prod."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the objects."
  type        = string
}

variable "deletable" {
  description = "Whether the bucket may be deleted with its objects."
  type        = bool
  default     = false

  validation {
    condition     = !(var.deletable && var.object_lock != null)
    error_message = "deletable and object_lock exclude each other, because locked objects cannot be deleted."
  }
}

variable "transitions" {
  # GLACIER and DEEP_ARCHIVE are cheaper still, but a month in them is restored only after its objects were, by hand.
  description = "Days after which an object moves to a cheaper storage class."
  type        = map(number)
  default     = { STANDARD_IA = 30, GLACIER_IR = 90 }

  validation {
    condition = alltrue([
      for class in keys(var.transitions) : contains(["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"], class)
    ])
    error_message = "transitions has the storage classes STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER and DEEP_ARCHIVE."
  }

  validation {
    condition     = alltrue([for class, days in var.transitions : days >= (class == "STANDARD_IA" ? 30 : 1)])
    error_message = "transitions has at least 1 day, and at least 30 for STANDARD_IA."
  }
}

variable "expire_days" {
  description = "Days after which an object is deleted. null keeps it forever."
  type        = number
  default     = null

  validation {
    condition     = var.expire_days == null ? true : var.expire_days > max(0, values(var.transitions)...)
    error_message = "expire_days is later than every transition, or null."
  }
}

variable "object_lock" {
  description = "Retention that cannot be shortened (COMPLIANCE), or only with a special permission (GOVERNANCE). null for none."
  type        = object({ mode = string, days = number })
  default     = null

  validation {
    condition     = var.object_lock == null ? true : contains(["GOVERNANCE", "COMPLIANCE"], var.object_lock.mode) && var.object_lock.days >= 1
    error_message = "object_lock has the mode GOVERNANCE or COMPLIANCE, and at least 1 day."
  }
}
