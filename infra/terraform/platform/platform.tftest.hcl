mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  environment = "prod"
  region      = "eu-central-1"
  gateway_url = "https://api.gateway.example"
}

run "writes_every_parameter_that_the_template_reads" {
  command = plan

  assert {
    condition = output.parameter_names == tolist(sort([for name in [
      "network/subnet-ids", "network/security-group-ids",
      "database/host", "database/instance-host", "database/port", "database/name", "database/secret-id",
      "database/admin-secret-id",
      "broker/url", "broker/management-url", "broker/arn", "broker/secret-id", "broker/admin-secret-id",
      "gateway/url", "gateway/notices-secret-id", "secrets/key-arn", "alarms/topic-arn", "events/bus-name",
    ] : "/paybridge/prod/${name}"]))
    error_message = "The names of the parameters have changed."
  }
}

run "gives_each_parameter_its_value" {
  command = plan

  assert {
    condition = local.parameters["database/host"] == "paybridge.proxy.eu-central-1.rds.amazonaws.com" && (
      local.parameters["database/instance-host"] == "paybridge.instance.eu-central-1.rds.amazonaws.com"
    )
    error_message = "The hosts of the database differ."
  }
  assert {
    condition     = local.parameters["database/port"] == "5432" && local.parameters["database/name"] == "paybridge"
    error_message = "Port or name of the database differ."
  }
  assert {
    condition     = local.parameters["database/admin-secret-id"] == "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-admin"
    error_message = "The administrator's secret is not the one of RDS."
  }
  assert {
    condition = local.parameters["broker/url"] == "amqps://b-1.mq.eu-central-1.on.aws:5671" && (
      local.parameters["broker/management-url"] == "https://b-1.mq.eu-central-1.on.aws"
    )
    error_message = "The broker's addresses differ."
  }
  assert {
    condition     = local.parameters["secrets/key-arn"] == "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    error_message = "The key differs."
  }
  assert {
    condition     = length(local.list_parameters["network/subnet-ids"]) == 3 && length(local.list_parameters["network/security-group-ids"]) == 1
    error_message = "Functions are not in three subnets and one group."
  }
}

run "does_without_a_proxy" {
  command = plan

  variables {
    database_proxy = false
  }

  assert {
    condition     = local.parameters["database/host"] == local.parameters["database/instance-host"]
    error_message = "Functions do not connect to the instance."
  }
}

run "creates_nothing_by_default_that_no_code_uses" {
  command = plan

  assert {
    condition     = length(module.cache) + length(module.archive) == 0
    error_message = "There is a cache or a bucket."
  }
  assert {
    condition     = length(local.optional_parameters) == 0
    error_message = "A parameter names what is not there."
  }
  assert {
    condition     = length(module.budget) == 0 && length(module.github) == 0
    error_message = "There is a budget, or there are roles of GitHub."
  }
}

run "creates_the_rest_on_request" {
  command = plan

  variables {
    cache   = {}
    archive = { object_lock = { mode = "COMPLIANCE", days = 2555 } }
    budget  = { monthly_usd = 100, emails = ["owner@example.com"] }
    github = {
      repository       = "acme/paybridge"
      repository_ids   = { owner = "9919", repository = "1296269" }
      state_bucket_arn = "arn:aws:s3:::acme-terraform"
    }
  }

  assert {
    condition = length(setintersection(output.parameter_names, [
      for name in ["cache/endpoint", "archive/bucket"] : "/paybridge/prod/${name}"
    ])) == 2
    error_message = "Cache or bucket cannot be found."
  }
  assert {
    condition     = length(module.budget) == 1 && length(module.github) == 1
    error_message = "There is no budget, or there are no roles."
  }
}

run "has_a_bus_for_the_bridge" {
  command = plan

  assert {
    condition     = local.parameters["events/bus-name"] == "paybridge-prod"
    error_message = "The bridge does not find the bus."
  }
}

run "watches_every_queue" {
  command = plan

  assert {
    condition     = toset(local.queues) == toset(["payments.new", "payments.intake", "payments.dead", "webhooks", "webhooks.retry", "notifications", "ledger", "bridge"])
    error_message = "The queues are not those of topology.json."
  }
  assert {
    condition     = contains(module.alarms.kinds, "dead-letters") && contains(module.alarms.kinds, "queue-depth")
    error_message = "A full queue raises no alarm."
  }
}

run "refuses_what_aws_or_the_template_would_refuse_later" {
  command = plan

  variables {
    environment        = "Prod"
    region             = "Frankfurt"
    account_id         = "1234-5678-9012"
    gateway_url        = "http://api.gateway.example"
    log_retention_days = 8
  }

  expect_failures = [var.environment, var.region, var.account_id, var.gateway_url, var.log_retention_days]
}

run "refuses_a_gateway_with_a_login" {
  command = plan

  variables {
    gateway_url = "https://user:password@api.gateway.example"
  }

  expect_failures = [var.gateway_url]
}

run "refuses_a_gateway_at_a_port_that_functions_do_not_reach" {
  command = plan

  variables {
    gateway_url = "https://api.gateway.example:8443/v1"
  }

  expect_failures = [var.gateway_url]
}

run "takes_a_gateway_at_the_usual_port_with_a_path" {
  command = plan

  variables {
    gateway_url = "https://api.gateway.example:443/v1"
    account_id  = "123456789012"
  }

  assert {
    condition     = local.parameters["gateway/url"] == "https://api.gateway.example:443/v1"
    error_message = "The gateway's URL differs."
  }
}
