# Answers of the mocked AWS. The real provider's checks accept their form.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_region" {
  defaults = { region = "eu-central-1" }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    key_id = "00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_vpc" {
  defaults = { id = "vpc-00000000000000000" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:group" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/role", id = "role" }
}

mock_resource "aws_db_instance" {
  defaults = {
    address = "paybridge.instance.eu-central-1.rds.amazonaws.com"
    master_user_secret = [{
      kms_key_id    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
      secret_arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-admin"
      secret_status = "active"
    }]
  }
}

mock_resource "aws_db_proxy" {
  defaults = { endpoint = "paybridge.proxy.eu-central-1.rds.amazonaws.com" }
}

mock_resource "aws_mq_broker" {
  defaults = {
    arn = "arn:aws:mq:eu-central-1:123456789012:broker:paybridge:b-1"
    instances = [{
      console_url = "https://b-1.mq.eu-central-1.on.aws"
      endpoints   = ["amqps://b-1.mq.eu-central-1.on.aws:5671"]
      ip_address  = ""
    }]
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:paybridge"
    id  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:paybridge"
  }
}

mock_resource "aws_secretsmanager_secret_version" {
  defaults = { arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:paybridge" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::paybridge-archive", id = "paybridge-archive" }
}

mock_resource "aws_cloudwatch_event_bus" {
  defaults = { arn = "arn:aws:events:eu-central-1:123456789012:event-bus/paybridge" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:paybridge-alarms" }
}

mock_resource "aws_elasticache_serverless_cache" {
  defaults = { endpoint = [{ address = "paybridge.serverless.euc1.cache.amazonaws.com", port = 6379 }] }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{}" }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = { arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:alarm" }
}

mock_resource "aws_iam_openid_connect_provider" {
  defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
}

mock_data "aws_iam_openid_connect_provider" {
  defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
}
