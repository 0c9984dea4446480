variable "name" {
  description = "Name of the broker, such as paybridge-prod."
  type        = string
}

variable "engine_version" {
  description = "RabbitMQ's version, as Amazon MQ offers it: 3.13, 4.2 or 4.3."
  type        = string
  default     = "4.2"

  validation {
    condition     = contains(["3.13", "4.2", "4.3"], var.engine_version)
    error_message = "engine_version is 3.13, 4.2 or 4.3, without a patch version."
  }
}

variable "deployment_mode" {
  description = "SINGLE_INSTANCE, or CLUSTER_MULTI_AZ with three nodes in as many zones."
  type        = string
  default     = "CLUSTER_MULTI_AZ"

  validation {
    condition     = contains(["SINGLE_INSTANCE", "CLUSTER_MULTI_AZ"], var.deployment_mode)
    error_message = "deployment_mode is SINGLE_INSTANCE or CLUSTER_MULTI_AZ."
  }
}

variable "instance_type" {
  description = "Type of each node, such as mq.m7g.large."
  type        = string

  validation {
    condition     = can(regex("^mq\\.(t3\\.micro|m5\\.[0-9]*x?large|m7g\\.([0-9]*x?large|medium))$", var.instance_type))
    error_message = "instance_type is mq.t3.micro or a size of mq.m5 or mq.m7g, such as mq.m7g.large."
  }

  validation {
    condition     = var.engine_version == "3.13" || startswith(var.instance_type, "mq.m7g.")
    error_message = "RabbitMQ 4 runs only on mq.m7g. Choose an instance_type such as mq.m7g.medium, or engine_version 3.13."
  }

  validation {
    condition     = var.deployment_mode == "SINGLE_INSTANCE" || var.instance_type != "mq.t3.micro"
    error_message = "A cluster needs more than mq.t3.micro. Choose mq.m7g.medium or larger, or SINGLE_INSTANCE."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the broker. A single instance uses the first."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids names at least one subnet."
  }
}

variable "security_group_id" {
  description = "Security group of the broker. Amazon MQ cannot replace it, so change its rules instead."
  type        = string
}

variable "maintenance_window" {
  description = "When Amazon MQ may restart the broker, in UTC."
  type        = object({ day = string, time = string })
  default     = { day = "SUNDAY", time = "04:00" }

  validation {
    condition = alltrue([
      contains(["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"], var.maintenance_window.day),
      can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.maintenance_window.time)),
    ])
    error_message = "maintenance_window has a day such as SUNDAY and a time such as 04:00."
  }
}

variable "apply_immediately" {
  description = "Whether changes restart the broker now instead of in maintenance_window."
  type        = bool
  default     = false
}

variable "admin_username" {
  description = "Name of the broker's administrator."
  type        = string
}

variable "admin_password" {
  description = "Initial password of the administrator. Later changes are not applied."
  type        = string
  sensitive   = true
}
