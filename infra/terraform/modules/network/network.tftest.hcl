mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name               = "paybridge-test"
  log_retention_days = 7
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "has_three_tiers_in_three_zones_that_do_not_overlap" {
  command = plan

  assert {
    condition = length(distinct(concat(
      values(local.private_cidrs), values(local.database_cidrs), values(local.public_cidrs),
    ))) == 9
    error_message = "There are not nine subnets."
  }
  assert {
    condition     = values(local.private_cidrs) == ["10.20.0.0/20", "10.20.16.0/20", "10.20.32.0/20"]
    error_message = "Private subnets are not the first sixteenths."
  }
  assert {
    condition     = values(local.database_cidrs) == ["10.20.128.0/24", "10.20.129.0/24", "10.20.130.0/24"]
    error_message = "Database subnets are not in the upper half."
  }
  assert {
    condition     = alltrue([for one in aws_subnet.public : !one.map_public_ip_on_launch])
    error_message = "A machine in a public subnet would get a public address."
  }
}

run "describes_groups_and_rules_with_characters_that_ec2_allows" {
  command = plan

  assert {
    condition = alltrue([
      for text in concat(
        [for one in aws_security_group.this : one.description],
        [for one in aws_vpc_security_group_egress_rule.flow : one.description],
        [for one in aws_vpc_security_group_ingress_rule.flow : one.description],
        [for one in aws_vpc_security_group_egress_rule.internet : one.description],
      ) : can(regex("^[A-Za-z0-9 ._:/()#,@+=&;{}!$*\\[\\]-]{1,255}$", text))
    ])
    error_message = "EC2 refuses a description: it allows only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*."
  }
}

run "gives_every_zone_its_own_nat_gateway" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "Not every zone has a NAT gateway."
  }
}

run "has_one_nat_gateway_and_two_zones_when_small" {
  command = plan

  variables {
    zones               = ["a", "b"]
    nat                 = "single"
    interface_endpoints = []
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_subnet.private) == 2
    error_message = "It is not small."
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "There are interface endpoints, or none for S3."
  }
  assert {
    condition     = contains(keys(aws_vpc_security_group_egress_rule.internet), "broker")
    error_message = "The mappings' interfaces reach neither endpoints nor NAT."
  }
}

run "keeps_the_mappings_inside_when_there_are_endpoints_for_them" {
  command = plan

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["lambda", "secretsmanager", "sts"])
    error_message = "The endpoints of the mappings are not the default."
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.internet)) == toset(["functions", "operators"])
    error_message = "The broker's group may reach the internet."
  }
}

run "allows_only_the_named_flows" {
  command = plan

  assert {
    condition     = alltrue([for one in aws_vpc_security_group_ingress_rule.flow : one.cidr_ipv4 == null && one.cidr_ipv6 == null])
    error_message = "An ingress rule names addresses instead of a group."
  }
  assert {
    condition = toset([for flow in local.flows : "${flow.from} ${local.ports[flow.port]}" if flow.to == "database"]) == toset(
      ["functions 5432", "database-proxy 5432", "operators 5432"]
    )
    error_message = "More than functions, proxy and operators reach the database."
  }
  assert {
    condition = toset([for flow in local.flows : "${flow.from} ${local.ports[flow.port]}" if flow.to == "broker"]) == toset(
      ["functions 5671", "functions 443", "broker 5671", "operators 5671", "operators 443"]
    )
    error_message = "More than functions, mappings and operators reach the broker."
  }
  assert {
    condition     = alltrue([for one in aws_vpc_security_group_egress_rule.internet : one.from_port == 443 && one.to_port == 443])
    error_message = "More than HTTPS goes to the internet."
  }
}

run "records_all_connections_under_the_key" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "The flow log is incomplete, or not encrypted."
  }
}

run "refuses_a_range_without_room" {
  command = plan

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "refuses_an_invalid_range" {
  command = plan

  variables {
    cidr = "10.20.0.0.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_one_zone" {
  command = plan

  variables {
    zones = ["a", "a"]
  }

  expect_failures = [var.zones]
}

run "refuses_an_unknown_kind_of_nat" {
  command = plan

  variables {
    nat = "none"
  }

  expect_failures = [var.nat]
}

run "refuses_the_long_name_of_a_service" {
  command = plan

  variables {
    interface_endpoints = ["s3"]
  }

  expect_failures = [var.interface_endpoints]
}

run "refuses_an_unknown_kind_of_traffic" {
  command = plan

  variables {
    flow_log_traffic = "SOME"
  }

  expect_failures = [var.flow_log_traffic]
}
