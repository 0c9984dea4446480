# Applied to the mocks, because the ids of subnets and route tables are unknown before.

mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name               = "paybridge-test"
  log_retention_days = 7
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "gives_the_database_no_route_out" {
  command = apply

  assert {
    condition = alltrue([
      for zone, one in aws_route_table_association.database :
      one.subnet_id == aws_subnet.database[zone].id && one.route_table_id == aws_route_table.database.id
    ])
    error_message = "A subnet of the database has another route table."
  }
  assert {
    condition     = length(aws_route_table.database.route) == 0
    error_message = "The database's subnets have a route."
  }
}

run "routes_every_private_subnet_through_its_own_zone" {
  command = apply

  assert {
    condition = alltrue([
      for zone, table in aws_route_table.private :
      one(table.route).nat_gateway_id == aws_nat_gateway.this[zone].id
    ])
    error_message = "The loss of a zone would cut off another zone."
  }
}
