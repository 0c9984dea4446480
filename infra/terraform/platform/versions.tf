terraform {
  # Write-only arguments and lock files of the S3 backend came with 1.11.
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

  # Where the state is stays with whoever applies: `terraform init -backend-config=environments/dev.s3.tfbackend`
  # (docs/operators/platform.md).
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ project = "paybridge", environment = var.environment, managed-by = "terraform" }, var.tags)
  }
}
