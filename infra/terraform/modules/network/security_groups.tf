# The allowed flows. Each is an egress rule of one group and an ingress rule of the other. Nothing else is open. Amazon
# MQ cannot replace a broker's groups, so change rules and keep the groups.

locals {
  # EC2 allows letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* in a description, and no apostrophe.
  groups = {
    functions      = "Lambda functions"
    database       = "PostgreSQL"
    database-proxy = "RDS Proxy"
    broker         = "RabbitMQ, and the interfaces by which mappings of Lambda reach it"
    endpoints      = "Interface endpoints of AWS services"
    operators      = "Operators inside the network: a CloudShell, a build, a bastion"
  }

  ports = { postgres = 5432, amqps = 5671, https = 443 }

  flows = {
    functions-database          = { from = "functions", to = "database", port = "postgres" }
    functions-database-proxy    = { from = "functions", to = "database-proxy", port = "postgres" }
    database-proxy-database     = { from = "database-proxy", to = "database", port = "postgres" }
    functions-broker            = { from = "functions", to = "broker", port = "amqps" }
    functions-broker-management = { from = "functions", to = "broker", port = "https" }
    functions-endpoints         = { from = "functions", to = "endpoints", port = "https" }
    broker-broker               = { from = "broker", to = "broker", port = "amqps" }
    broker-endpoints            = { from = "broker", to = "endpoints", port = "https" }
    operators-database          = { from = "operators", to = "database", port = "postgres" }
    operators-database-proxy    = { from = "operators", to = "database-proxy", port = "postgres" }
    operators-broker            = { from = "operators", to = "broker", port = "amqps" }
    operators-broker-management = { from = "operators", to = "broker", port = "https" }
    operators-endpoints         = { from = "operators", to = "endpoints", port = "https" }
  }

  # A mapping's interfaces call these services. Without endpoints for all of them the calls go through NAT.
  mapping_services = ["lambda", "secretsmanager", "sts"]
  mappings_by_nat  = length(setsubtract(local.mapping_services, var.interface_endpoints)) > 0

  to_internet = toset(concat(["functions", "operators"], local.mappings_by_nat ? ["broker"] : []))
}

resource "aws_security_group" "this" {
  # checkov:skip=CKV2_AWS_5:Other modules attach the groups to functions, database, proxy, broker and endpoints.
  for_each = local.groups

  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each = local.flows

  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = local.ports[each.value.port]
  to_port                      = local.ports[each.value.port]
  description                  = "To ${each.value.to} by ${each.value.port}"
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each = local.flows

  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = local.ports[each.value.port]
  to_port                      = local.ports[each.value.port]
  description                  = "From ${each.value.from} by ${each.value.port}"
}

# Only HTTPS: the payment gateway, webhooks, and AWS services without an endpoint.
resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = local.to_internet

  security_group_id = aws_security_group.this[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "HTTPS to the internet"
}
