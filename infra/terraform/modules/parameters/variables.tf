variable "environment" {
  description = "Name of the environment, part of each parameter's name."
  type        = string
}

variable "strings" {
  description = "Values of single parameters by name below /paybridge/<environment>/, such as database/host."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.strings) : can(regex("^[a-z]+/[a-z-]+$", name))])
    error_message = "A parameter's name has two parts, such as database/host."
  }
}

variable "lists" {
  description = "Values of list parameters by name, such as network/subnet-ids."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.lists) : can(regex("^[a-z]+/[a-z-]+$", name))])
    error_message = "A parameter's name has two parts, such as network/subnet-ids."
  }
}
