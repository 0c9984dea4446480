# Serverless Valkey: no servers to size, encrypted at rest and in transit, spread over the subnets' zones.

locals {
  # ElastiCache serves reads on the second port from the nearest zone.
  ports = toset(["6379", "6380"])
}

resource "aws_security_group" "this" {
  name        = "${var.name}-cache"
  description = "Valkey"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "functions" {
  for_each = local.ports

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = var.functions_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
  description                  = "From functions"
}

resource "aws_vpc_security_group_egress_rule" "functions" {
  for_each = local.ports

  security_group_id            = var.functions_security_group_id
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
  description                  = "To the cache"
}

resource "aws_elasticache_serverless_cache" "this" {
  name                 = var.name
  description          = "Valkey of ${var.name}"
  engine               = "valkey"
  major_engine_version = "8"
  kms_key_id           = var.kms_key_arn
  subnet_ids           = var.subnet_ids
  security_group_ids   = [aws_security_group.this.id]

  # A limit for the bill. ElastiCache refuses requests beyond it.
  cache_usage_limits {
    data_storage {
      maximum = var.storage_gb_max
      unit    = "GB"
    }

    ecpu_per_second {
      maximum = var.ecpu_per_second_max
    }
  }
}
