variable "name" {
  description = "Name of the cache, such as paybridge-prod."
  type        = string
}

variable "vpc_id" {
  description = "Id of the VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in two or three zones."
  type        = list(string)

  validation {
    condition     = contains([2, 3], length(var.subnet_ids))
    error_message = "subnet_ids has two or three subnets, as ElastiCache Serverless demands."
  }
}

variable "functions_security_group_id" {
  description = "Security group of the functions. Only they reach the cache."
  type        = string
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the cache."
  type        = string
}

variable "storage_gb_max" {
  description = "Maximum size of the cache in GB."
  type        = number
  default     = 1

  validation {
    condition     = var.storage_gb_max >= 1 && var.storage_gb_max <= 5000
    error_message = "storage_gb_max is 1 to 5000."
  }
}

variable "ecpu_per_second_max" {
  description = "Maximum of ElastiCache processing units (ECPU) a second."
  type        = number
  default     = 1000

  validation {
    condition     = var.ecpu_per_second_max >= 1000 && var.ecpu_per_second_max <= 15000000
    error_message = "ecpu_per_second_max is 1000 to 15000000, the limits of ElastiCache Serverless."
  }
}
