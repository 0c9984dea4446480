variable "name" {
  description = "Prefix of names and identifier of the instance, such as paybridge-prod."
  type        = string
}

variable "postgres_version" {
  description = "Major version of PostgreSQL: 16, 17 or 18. RDS chooses the minor version and keeps it current."
  type        = string
  default     = "16"

  validation {
    condition     = contains(["16", "17", "18"], var.postgres_version)
    error_message = "postgres_version is 16, 17 or 18, without a minor version."
  }
}

variable "major_upgrade_allowed" {
  description = "Whether a changed postgres_version may upgrade the instance in place. Take a snapshot before."
  type        = bool
  default     = false
}

variable "instance_class" {
  description = "Class of the instance, such as db.m7g.large."
  type        = string

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_class))
    error_message = "instance_class looks like db.m7g.large."
  }
}

variable "storage_gb" {
  description = "Initial storage in GiB."
  type        = number

  validation {
    condition     = var.storage_gb >= 20
    error_message = "storage_gb is at least 20, the minimum of RDS for gp3."
  }
}

variable "storage_gb_max" {
  description = "Maximum storage in GiB for the autoscaling of RDS."
  type        = number

  validation {
    condition     = var.storage_gb_max >= ceil(var.storage_gb * 1.1)
    error_message = "storage_gb_max is at least a tenth more than storage_gb. Otherwise RDS could not add storage."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over when the instance fails."
  type        = bool
  default     = true
}

variable "backup_retention_days" {
  description = "Days of backups. The database can be restored to any moment of them."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "backup_retention_days is 1 to 35. 0 would turn backups off, and RDS keeps at most 35 days."
  }
}

variable "backup_window" {
  description = "When the daily snapshot is taken, in UTC, such as 02:00-02:30. It must not overlap maintenance_window."
  type        = string
  default     = "02:00-02:30"

  validation {
    condition     = can(regex("^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$", var.backup_window))
    error_message = "backup_window looks like 02:00-02:30, in UTC."
  }
}

variable "maintenance_window" {
  description = "When RDS may restart the instance, in UTC, such as sun:03:00-sun:04:00."
  type        = string
  default     = "sun:03:00-sun:04:00"

  validation {
    condition     = can(regex("^[a-z]{3}:[0-2][0-9]:[0-5][0-9]-[a-z]{3}:[0-2][0-9]:[0-5][0-9]$", var.maintenance_window))
    error_message = "maintenance_window looks like sun:03:00-sun:04:00, in UTC."
  }
}

variable "deletion_protection" {
  description = "Whether RDS refuses to delete the instance."
  type        = bool
  default     = true
}

variable "final_snapshot" {
  description = "Whether a final snapshot and the automated backups remain after the instance is deleted."
  type        = bool
  default     = true
}

variable "apply_immediately" {
  description = "Whether changes that restart the instance apply now instead of in maintenance_window."
  type        = bool
  default     = false
}

variable "monitoring_interval_seconds" {
  description = "Interval of enhanced monitoring in seconds. 0 turns it off."
  type        = number
  default     = 60

  validation {
    condition     = contains([0, 1, 5, 10, 15, 30, 60], var.monitoring_interval_seconds)
    error_message = "monitoring_interval_seconds is 0, 1, 5, 10, 15, 30 or 60."
  }
}

variable "slow_statement_ms" {
  description = "Statements that take longer than these milliseconds are logged, without parameters."
  type        = number
  default     = 1000

  validation {
    condition     = var.slow_statement_ms >= 10
    error_message = "slow_statement_ms is at least 10. Less would log nearly every statement."
  }
}

variable "admin_rotation_days" {
  description = "Days between rotations of the administrator's password by RDS."
  type        = number
  default     = 30

  validation {
    condition     = var.admin_rotation_days >= 1 && var.admin_rotation_days <= 365
    error_message = "admin_rotation_days is 1 to 365."
  }
}

variable "log_retention_days" {
  description = "Days that PostgreSQL's log is kept."
  type        = number
}

variable "subnet_ids" {
  description = "Subnets of the instance, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids has subnets in at least two zones, as RDS demands."
  }
}

variable "security_group_id" {
  description = "Security group of the instance."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key for storage, backups, logs and the administrator's secret."
  type        = string
}

variable "proxy" {
  description = "Whether RDS Proxy stands in front of the instance."
  type        = bool
  default     = true
}

variable "proxy_subnet_ids" {
  description = "Subnets of the proxy."
  type        = list(string)
}

variable "proxy_security_group_id" {
  description = "Security group of the proxy."
  type        = string
}

variable "role_secret_arn" {
  description = "ARN of the secret of the functions' role. The proxy reads it."
  type        = string
}
