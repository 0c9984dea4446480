mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name                        = "paybridge-test"
  vpc_id                      = "vpc-00000000000000000"
  subnet_ids                  = ["subnet-00000000000000001", "subnet-00000000000000002"]
  functions_security_group_id = "sg-00000000000000001"
  kms_key_arn                 = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "is_an_encrypted_valkey_for_functions_alone" {
  command = plan

  assert {
    condition     = aws_elasticache_serverless_cache.this.engine == "valkey" && aws_elasticache_serverless_cache.this.kms_key_id == var.kms_key_arn
    error_message = "It is not Valkey under our key."
  }
  assert {
    condition     = alltrue([for one in aws_vpc_security_group_ingress_rule.functions : one.referenced_security_group_id == "sg-00000000000000001"])
    error_message = "More than the functions reach the cache."
  }
  assert {
    condition     = output.endpoint == "paybridge.serverless.euc1.cache.amazonaws.com:6379"
    error_message = "The endpoint differs."
  }
}

run "has_a_limit" {
  command = plan

  assert {
    condition     = aws_elasticache_serverless_cache.this.cache_usage_limits[0].data_storage[0].maximum == 1
    error_message = "The bill has no limit."
  }
}

run "refuses_limits_outside_those_of_elasticache" {
  command = plan

  variables {
    subnet_ids          = ["subnet-00000000000000001"]
    storage_gb_max      = 0
    ecpu_per_second_max = 10
  }

  expect_failures = [var.subnet_ids, var.storage_gb_max, var.ecpu_per_second_max]
}
