variable "name" {
  description = "Prefix of names, such as paybridge-prod; the instance's identifier."
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
  description = "Storage in GiB to begin with."
  type        = number

  validation {
    condition     = var.storage_gb >= 20
    error_message = "storage_gb is at least 20, the least that RDS gives gp3."
  }
}

variable "storage_gb_max" {
  description = "GiB up to which RDS adds storage by itself."
  type        = number

  validation {
    condition     = var.storage_gb_max >= ceil(var.storage_gb * 1.1)
    error_message = "storage_gb_max is at least a tenth more than storage_gb, or RDS could add nothing."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over when the instance fails."
  type        = bool
  default     = true
}

variable "backup_retention_days" {
  description = "Days to any moment of which the database can be restored."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "backup_retention_days is 1 to 35: 0 would turn backups off, more than 35 RDS does not keep."
  }
}

variable "backup_window" {
  description = "When the daily snapshot is taken, in UTC, such as 02:00-02:30; not within maintenance_window."
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
  description = "Whether deleting the instance leaves a last snapshot and the automated backups."
  type        = bool
  default     = true
}

variable "apply_immediately" {
  description = "Whether changes that restart the instance happen now instead of in maintenance_window."
  type        = bool
  default     = false
}

variable "monitoring_interval_seconds" {
  description = "How often enhanced monitoring measures the machine; 0 turns it off."
  type        = number
  default     = 60

  validation {
    condition     = contains([0, 1, 5, 10, 15, 30, 60], var.monitoring_interval_seconds)
    error_message = "monitoring_interval_seconds is 0, 1, 5, 10, 15, 30 or 60."
  }
}

variable "slow_statement_ms" {
  description = "Milliseconds from which a statement is logged, without its parameters."
  type        = number
  default     = 1000

  validation {
    condition     = var.slow_statement_ms >= 10
    error_message = "slow_statement_ms is at least 10: less would log nearly every statement."
  }
}

variable "admin_rotation_days" {
  description = "Days after which RDS changes the administrator's password."
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
    error_message = "subnet_ids has subnets of at least two zones; RDS accepts no fewer."
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
  description = "ARN of the secret of the functions' role, which the proxy has to know."
  type        = string
}
