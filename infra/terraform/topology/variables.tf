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
