# The defaults suit production. environments/dev.tfvars is a small environment.

variable "environment" {
  description = "Name of the environment, such as dev or prod: the template's EnvironmentName."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment has 2 to 16 lower-case letters, digits and hyphens, and starts with a letter, like EnvironmentName of template.yaml."
  }
}

variable "region" {
  description = "AWS region, such as eu-central-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region looks like eu-central-1."
  }
}

variable "account_id" {
  description = "Number of the AWS account that this environment belongs to. Credentials of another account are refused. null takes any."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null ? true : can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id has twelve digits, such as 123456789012."
  }
}

variable "gateway_url" {
  description = "Base URL of the payment gateway."
  type        = string

  validation {
    condition     = can(regex("^https://[^/@:?# ]+(:443)?(/[^ ]*)?$", var.gateway_url))
    error_message = "gateway_url begins with https:// and has no login, because charges are sent there, and no port but 443, because the functions' security group lets nothing else out."
  }
}

variable "tags" {
  description = "Tags on all resources, in addition to project, environment and managed-by."
  type        = map(string)
  default     = {}
}

variable "apply_immediately" {
  description = "Whether changes that restart database or broker apply now instead of in their maintenance windows."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the logs of network and database."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "secret_recovery_days" {
  description = "Days in which a deleted secret can be restored. 0 deletes at once and frees the name."
  type        = number
  default     = 30
}

# --- network

variable "vpc_cidr" {
  description = "Addresses of the VPC, from /16 to /20. Choose a range that overlaps no network you will peer with."
  type        = string
  default     = "10.20.0.0/16"
}

variable "zones" {
  description = "Availability zones to use, two or three, by the last letter of their names. Not every account has all letters."
  type        = list(string)
  default     = ["a", "b", "c"]
}

variable "nat" {
  description = "NAT gateways: `single` for all zones, or one `per_zone`, which survives the loss of a zone."
  type        = string
  default     = "per_zone"
}

variable "interface_endpoints" {
  description = "AWS services reached inside the VPC instead of by NAT. Each endpoint costs by the hour and zone."
  type        = set(string)
  default     = ["lambda", "secretsmanager", "sts"]
}

variable "flow_log_traffic" {
  description = "Connections that the flow log records: ALL, REJECT or ACCEPT."
  type        = string
  default     = "ALL"
}

# --- database

variable "postgres_version" {
  description = "Major version of PostgreSQL: 16, 17 or 18."
  type        = string
  default     = "16"
}

variable "postgres_major_upgrade_allowed" {
  description = "Whether a changed postgres_version may upgrade the instance in place."
  type        = bool
  default     = false
}

variable "database_instance_class" {
  description = "Class of the instance."
  type        = string
  default     = "db.m7g.large"
}

variable "database_storage_gb" {
  description = "Initial storage in GiB."
  type        = number
  default     = 100
}

variable "database_storage_gb_max" {
  description = "Maximum storage in GiB for the autoscaling of RDS."
  type        = number
  default     = 1000
}

variable "database_multi_az" {
  description = "Whether a standby in another zone takes over when the instance fails."
  type        = bool
  default     = true
}

variable "database_backup_days" {
  description = "Days of backups, 1 to 35. The database can be restored to any moment of them."
  type        = number
  default     = 14
}

variable "database_deletion_protection" {
  description = "Whether RDS refuses to delete the instance."
  type        = bool
  default     = true
}

variable "database_final_snapshot" {
  description = "Whether a final snapshot and the automated backups remain after the instance is deleted."
  type        = bool
  default     = true
}

variable "database_monitoring_seconds" {
  description = "Interval of enhanced monitoring in seconds. 0 turns it off."
  type        = number
  default     = 60
}

variable "database_admin_rotation_days" {
  description = "Days between rotations of the administrator's password by RDS."
  type        = number
  default     = 30
}

variable "database_proxy" {
  description = "Whether functions connect through RDS Proxy. Without it set DatabaseTlsCaFile of template.yaml to Amazon's RDS bundle (docs/operators/platform.md)."
  type        = bool
  default     = true
}

# --- broker

variable "broker_engine_version" {
  description = "RabbitMQ's version: 3.13, 4.2 or 4.3."
  type        = string
  default     = "4.2"
}

variable "broker_deployment_mode" {
  description = "SINGLE_INSTANCE, or CLUSTER_MULTI_AZ with three nodes."
  type        = string
  default     = "CLUSTER_MULTI_AZ"
}

variable "broker_instance_type" {
  description = "Type of each node. RabbitMQ 4 runs only on mq.m7g."
  type        = string
  default     = "mq.m7g.large"
}

# --- archive: the function archive, once ArchiveBucket is set; events: the function bridge; cache: rate limits may

variable "archive" {
  description = "Bucket for payments that have left the database. null creates none. `deletable`: with its objects. `expire_days`: null keeps objects forever. `object_lock`: retention, such as { mode = \"COMPLIANCE\", days = 2555 }, only when the bucket is created."
  type = object({
    deletable   = optional(bool, false)
    expire_days = optional(number)
    object_lock = optional(object({ mode = string, days = number }))
  })
  default = null
}

variable "events" {
  description = "EventBridge bus of the function bridge. `archive_days`: how long EventBridge can replay events, 0 forever, null not at all."
  type        = object({ archive_days = optional(number, 30) })
  default     = {}
  nullable    = false
}

variable "cache" {
  description = "Limits of a Valkey cache (ElastiCache Serverless). null creates none."
  type        = object({ storage_gb_max = optional(number, 1), ecpu_per_second_max = optional(number, 1000) })
  default     = null
}

# --- operations

variable "alarm_emails" {
  description = "Email addresses for all alarms. Each has to confirm the first message."
  type        = set(string)
  default     = []
}

variable "runbook_url" {
  description = "Location of the runbooks in the alarms: a path in the repository, or a URL."
  type        = string
  default     = "docs/operators/runbooks.md"
}

variable "database_connections_max" {
  description = "Connections above which an alarm fires. Raise it together with ApiReservedConcurrency."
  type        = number
  default     = 80
}

variable "database_free_storage_bytes_min" {
  description = "Bytes of free storage below which an alarm fires."
  type        = number
  default     = 10737418240
}

variable "database_freeable_memory_bytes_min" {
  description = "Bytes of free memory below which an alarm fires."
  type        = number
  default     = 268435456
}

variable "budget" {
  description = "Monthly budget and its recipients. null for no budget. The first two budgets of an account are free."
  type = object({
    monthly_usd         = number
    emails              = list(string)
    cost_allocation_tag = optional(string, "")
  })
  default = null
}

variable "github" {
  description = "The GitHub repository whose workflows plan and deploy, and the bucket of the state. null creates no roles."
  type = object({
    repository          = string
    repository_ids      = optional(object({ owner = string, repository = string }))
    state_bucket_arn    = string
    makes_oidc_provider = optional(bool, true)
  })
  default = null
}
