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
  description = "The password of management_username. Set it as TF_VAR_management_password."
  type        = string
  sensitive   = true
}

variable "vhost" {
  description = "The virtual host of exchanges and queues."
  type        = string
  default     = "/"
}

variable "vhost_exists" {
  description = "Whether the virtual host exists already, as / always does. Otherwise it is created."
  type        = bool
  default     = false
}

variable "functions_username" {
  description = "The user of the functions and their queue mappings, as in the secret broker/secret-id. There is a second one with the suffix `-b`. Rotation alternates between them."
  type        = string
  default     = "paybridge"

  validation {
    condition     = var.functions_username != ""
    error_message = "functions_username is the functions' user in the secret broker/secret-id."
  }
}

variable "functions_password" {
  description = "The initial password of both users, from the same secret. Rotation changes it afterwards. Set it as TF_VAR_functions_password."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.functions_password) >= 12
    error_message = "functions_password has at least 12 characters."
  }
}

variable "monitoring_username" {
  description = "A user that reads everything except messages, for dashboards and scrapers. Empty for none."
  type        = string
  default     = ""
}

variable "monitoring_password" {
  description = "The initial password of monitoring_username. Set it as TF_VAR_monitoring_password."
  type        = string
  sensitive   = true
  default     = ""

  validation {
    condition     = var.monitoring_username == "" || length(var.monitoring_password) >= 12
    error_message = "monitoring_password has at least 12 characters if monitoring_username is set."
  }
}

variable "operator_username" {
  description = "A user that may take dead letters and republish them. Empty for none."
  type        = string
  default     = ""
}

variable "operator_password" {
  description = "The initial password of operator_username. Set it as TF_VAR_operator_password."
  type        = string
  sensitive   = true
  default     = ""

  validation {
    condition     = var.operator_username == "" || length(var.operator_password) >= 12
    error_message = "operator_password has at least 12 characters if operator_username is set."
  }
}
