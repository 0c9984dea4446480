mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name              = "paybridge-test"
  instance_type     = "mq.m7g.large"
  subnet_ids        = ["subnet-00000000000000001", "subnet-00000000000000002", "subnet-00000000000000003"]
  security_group_id = "sg-00000000000000001"
  admin_username    = "paybridge-admin"
  admin_password    = "only-of-this-test-0123456789"
}

run "is_a_private_cluster_by_default" {
  command = plan

  assert {
    condition     = aws_mq_broker.this.engine_type == "RabbitMQ" && aws_mq_broker.this.engine_version == "4.2"
    error_message = "It is not RabbitMQ 4.2."
  }
  assert {
    condition     = aws_mq_broker.this.deployment_mode == "CLUSTER_MULTI_AZ" && length(aws_mq_broker.this.subnet_ids) == 3
    error_message = "It is not a cluster over three subnets."
  }
  assert {
    condition     = !aws_mq_broker.this.publicly_accessible && aws_mq_broker.this.security_groups == toset(["sg-00000000000000001"])
    error_message = "The broker is publicly accessible."
  }
  assert {
    condition     = aws_mq_broker.this.logs[0].general && aws_mq_broker.this.logs[0].audit == null
    error_message = "General logs are off, or audit logs are on, which Amazon MQ refuses for RabbitMQ."
  }
  assert {
    condition     = length(aws_mq_broker.this.encryption_options) == 0
    error_message = "A key is named, which Amazon MQ refuses for RabbitMQ."
  }
  assert {
    condition     = aws_mq_broker.this.auto_minor_version_upgrade && !aws_mq_broker.this.apply_immediately
    error_message = "Patches are off, or an apply may restart the broker at any time."
  }
}

run "outputs_its_addresses" {
  command = plan

  assert {
    condition     = output.url == "amqps://b-1.mq.eu-central-1.on.aws:5671" && output.management_url == "https://b-1.mq.eu-central-1.on.aws"
    error_message = "The addresses are not those of the broker."
  }
}

run "can_be_a_single_instance" {
  command = plan

  variables {
    deployment_mode = "SINGLE_INSTANCE"
    instance_type   = "mq.m7g.medium"
  }

  assert {
    condition     = aws_mq_broker.this.subnet_ids == toset(["subnet-00000000000000001"])
    error_message = "A single instance has one subnet."
  }
}

run "takes_3_13_on_the_smallest_machine" {
  command = plan

  variables {
    engine_version  = "3.13"
    deployment_mode = "SINGLE_INSTANCE"
    instance_type   = "mq.t3.micro"
  }

  assert {
    condition     = aws_mq_broker.this.engine_version == "3.13"
    error_message = "It is not RabbitMQ 3.13."
  }
}

run "takes_4_3" {
  command = plan

  variables {
    engine_version = "4.3"
  }

  assert {
    condition     = aws_mq_broker.this.engine_version == "4.3"
    error_message = "It is not RabbitMQ 4.3."
  }
}

run "refuses_a_patch_version" {
  command = plan

  variables {
    engine_version = "4.2.1"
  }

  expect_failures = [var.engine_version]
}

run "refuses_the_mode_of_activemq" {
  command = plan

  variables {
    deployment_mode = "ACTIVE_STANDBY_MULTI_AZ"
  }

  expect_failures = [var.deployment_mode]
}

run "refuses_a_machine_that_rabbitmq_4_does_not_run_on" {
  command = plan

  variables {
    instance_type = "mq.m5.large"
  }

  expect_failures = [var.instance_type]
}

run "refuses_a_cluster_of_the_smallest_machines" {
  command = plan

  variables {
    engine_version = "3.13"
    instance_type  = "mq.t3.micro"
  }

  expect_failures = [var.instance_type]
}

run "refuses_an_invalid_window" {
  command = plan

  variables {
    maintenance_window = { day = "SUNDAY", time = "25:00" }
  }

  expect_failures = [var.maintenance_window]
}
