variable "management_url" {
  description = "The broker's management API, such as https://b-….mq.eu-central-1.on.aws or http://127.0.0.1:15672."
  type        = string

  validation {
    condition     = can(regex("^https?://", var.management_url))
    error_message = "management_url begins with https:// or, on this machine, http://."
  }
}

variable "management_username" {
  description = "A user with the tag administrator."
  type        = string
}

variable "management_password" {
  description = "The password of management_username; give it as TF_VAR_management_password."
  type        = string
  sensitive   = true
}

variable "vhost" {
  description = "The virtual host of exchanges and queues."
  type        = string
  default     = "/"
}

variable "vhost_exists" {
  description = "Whether the virtual host is there already, as / always is; any other is made here."
  type        = bool
  default     = false
}

variable "functions_username" {
  description = "The user of the functions and their queue mappings, as the secret broker/secret-id names it; there are two, one with `-b` behind its name, and they take turns."
  type        = string
  default     = "paybridge"

  validation {
    condition     = var.functions_username != ""
    error_message = "functions_username names the functions' user, as the secret broker/secret-id does."
  }
}

variable "functions_password" {
  description = "The first password of both, from the same secret; rotation changes it afterwards. Give it as TF_VAR_functions_password."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.functions_password) >= 12
    error_message = "functions_password has at least 12 characters."
  }
}

variable "monitoring_username" {
  description = "A user who sees everything but messages, for dashboards and scrapers; empty for none."
  type        = string
  default     = ""
}

variable "monitoring_password" {
  description = "The first password of monitoring_username; give it as TF_VAR_monitoring_password."
  type        = string
  sensitive   = true
  default     = ""

  validation {
    condition     = var.monitoring_username == "" || length(var.monitoring_password) >= 12
    error_message = "monitoring_password has at least 12 characters when monitoring_username names somebody."
  }
}

variable "operator_username" {
  description = "A user who may take dead letters and publish them again; empty for none."
  type        = string
  default     = ""
}

variable "operator_password" {
  description = "The first password of operator_username; give it as TF_VAR_operator_password."
  type        = string
  sensitive   = true
  default     = ""

  validation {
    condition     = var.operator_username == "" || length(var.operator_password) >= 12
    error_message = "operator_password has at least 12 characters when operator_username names somebody."
  }
}
