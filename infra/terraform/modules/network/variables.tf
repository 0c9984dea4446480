variable "name" {
  description = "Prefix of names, such as paybridge-prod."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC, from /16 to /20."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && can(regex("/(16|17|18|19|20)$", var.cidr))
    error_message = "cidr is an IPv4 range from /16 to /20, such as 10.20.0.0/16. Smaller ranges have no room for the subnets."
  }
}

variable "zones" {
  description = "Availability zones to use, two or three, by the last letter of their names."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = contains([2, 3], length(distinct(var.zones))) && alltrue([for one in var.zones : can(regex("^[a-f]$", one))])
    error_message = "zones has two or three different letters, such as a, b and c. RDS needs two zones, a broker cluster three."
  }
}

variable "nat" {
  description = "NAT gateways: `single` for all zones, or one `per_zone`, which survives the loss of a zone."
  type        = string
  default     = "per_zone"

  validation {
    condition     = contains(["single", "per_zone"], var.nat)
    error_message = "nat is single or per_zone."
  }
}

variable "interface_endpoints" {
  description = "AWS services reached inside the VPC, by the last part of the endpoint's name, such as secretsmanager."
  type        = set(string)
  default     = ["lambda", "secretsmanager", "sts"]

  validation {
    condition     = alltrue([for one in var.interface_endpoints : can(regex("^[a-z][a-z0-9.-]*$", one)) && one != "s3"])
    error_message = "interface_endpoints has short service names such as secretsmanager, without com.amazonaws. S3 always has a gateway endpoint."
  }
}

variable "flow_log_traffic" {
  description = "Connections that the flow log records: ALL, REJECT or ACCEPT."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "REJECT", "ACCEPT"], var.flow_log_traffic)
    error_message = "flow_log_traffic is ALL, REJECT or ACCEPT."
  }
}

variable "log_retention_days" {
  description = "Days that the flow log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the flow log."
  type        = string
}
