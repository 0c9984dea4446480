variable "environment" {
  description = "Name of the deployment, such as dev or prod, and of the GitHub environment that may deploy it."
  type        = string
}

variable "repository" {
  description = "The GitHub repository whose workflows may assume the roles, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is written owner/name, such as acme/paybridge, without numbers, which go into repository_ids. A star would admit other repositories."
  }
}

variable "repository_ids" {
  description = "Numbers of the repository's owner and of the repository, which GitHub writes into the subject for repositories created, renamed or moved since 15 July 2026. null trusts the names alone."
  type        = object({ owner = string, repository = string })
  default     = null

  validation {
    condition     = var.repository_ids == null ? true : alltrue([for id in values(var.repository_ids) : can(regex("^[1-9][0-9]{0,19}$", id))])
    error_message = "repository_ids has two numbers: `gh api repos/OWNER/NAME --jq '{owner: .owner.id, repository: .id}'`."
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
  description = "Managed policies of the deploying role, in addition to its permissions on the deployment's own roles. null means PowerUserAccess."
  type        = list(string)
  default     = null
}
