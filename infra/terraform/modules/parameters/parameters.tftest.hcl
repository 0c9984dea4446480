mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  environment = "test"
  strings     = { "database/host" = "db.example", "broker/arn" = "arn:aws:mq:eu-central-1:123456789012:broker:b" }
  lists       = { "network/subnet-ids" = ["subnet-1", "subnet-2"] }
}

run "writes_each_below_its_environment" {
  command = plan

  assert {
    condition     = output.names == tolist(["/paybridge/test/broker/arn", "/paybridge/test/database/host", "/paybridge/test/network/subnet-ids"])
    error_message = "The names differ."
  }
  assert {
    condition     = aws_ssm_parameter.this["database/host"].type == "String" && nonsensitive(aws_ssm_parameter.this["database/host"].value) == "db.example"
    error_message = "The host is not written unchanged."
  }
}

run "joins_a_list_as_cloudformation_reads_it" {
  command = plan

  assert {
    condition     = aws_ssm_parameter.this["network/subnet-ids"].type == "StringList"
    error_message = "It is not a list."
  }
  assert {
    condition     = nonsensitive(aws_ssm_parameter.this["network/subnet-ids"].value) == "subnet-1,subnet-2"
    error_message = "The subnets are not joined by commas."
  }
}

run "refuses_a_full_name" {
  command = plan

  variables {
    strings = { "/paybridge/test/database/host" = "db.example" }
  }

  expect_failures = [var.strings]
}
