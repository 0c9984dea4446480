terraform {
  required_version = ">= 1.9"

  required_providers {
    rabbitmq = {
      source  = "cyrilgdn/rabbitmq"
      version = "~> 1.9"
    }
  }
}

provider "rabbitmq" {
  endpoint = var.management_url
  username = var.management_username
  password = var.management_password
}
