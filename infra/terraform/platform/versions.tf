terraform {
  # 1.11 introduced write-only arguments and lock files of the S3 backend.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # The backend is configured at init: `terraform init -backend-config=environments/dev.s3.tfbackend`
  # (docs/operators/platform.md).
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id == null ? null : [var.account_id]

  default_tags {
    tags = merge({ project = "paybridge", environment = var.environment, managed-by = "terraform" }, var.tags)
  }
}
