variable "environment" {
  description = "Name of the deployment, such as dev or prod, and of the GitHub environment that may deploy it."
  type        = string
}

variable "repository" {
  description = "The GitHub repository whose workflows may assume the roles, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is written owner/name, such as acme/paybridge. A star would admit other repositories."
  }
}

variable "makes_oidc_provider" {
  description = "Whether to create GitHub's identity provider. An account has only one, so set false for its second environment."
  type        = bool
  default     = true
}

variable "state_bucket_arn" {
  description = "ARN of the bucket with Terraform's state. Plans read it. The deploying role writes it by its managed policies."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", var.state_bucket_arn))
    error_message = "state_bucket_arn is the ARN of a bucket, such as arn:aws:s3:::acme-terraform."
  }
}

variable "deploy_policy_arns" {
  description = "Managed policies of the deploying role, in addition to its permissions on the deployment's own roles."
  type        = list(string)
  default     = ["arn:aws:iam::aws:policy/PowerUserAccess"]
}
