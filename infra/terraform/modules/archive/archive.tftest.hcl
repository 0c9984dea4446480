mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "paybridge-test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "keeps_objects_private_and_encrypted" {
  command = plan

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "The bucket could become public."
  }
  assert {
    condition = one([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.apply_server_side_encryption_by_default[0].kms_master_key_id
    ]) == var.kms_key_arn
    error_message = "Objects are not encrypted with our key."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "The bucket may be read without TLS."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "An object can be lost."
  }
}

run "moves_objects_to_cheaper_classes_and_deletes_none" {
  command = plan

  assert {
    condition = { for one in aws_s3_bucket_lifecycle_configuration.this.rule[0].transition : one.storage_class => one.days } == {
      STANDARD_IA = 30, GLACIER_IR = 90
    }
    error_message = "The transitions differ, or a month cannot be restored at once."
  }
  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration) == 0
    error_message = "Objects are deleted."
  }
}

run "locks_objects_on_demand" {
  command = plan

  variables {
    object_lock = { mode = "COMPLIANCE", days = 2555 }
  }

  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && aws_s3_bucket_object_lock_configuration.this[0].rule[0].default_retention[0].days == 2555
    error_message = "Objects are not locked."
  }
}

run "does_not_lock_by_default" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "Objects are locked."
  }
}

run "refuses_a_locked_bucket_that_may_be_deleted" {
  command = plan

  variables {
    deletable   = true
    object_lock = { mode = "GOVERNANCE", days = 1 }
  }

  expect_failures = [var.deletable]
}

run "refuses_an_unknown_lock" {
  command = plan

  variables {
    object_lock = { mode = "FOREVER", days = 1 }
  }

  expect_failures = [var.object_lock]
}

run "refuses_an_unknown_class" {
  command = plan

  variables {
    transitions = { TAPE = 30 }
  }

  expect_failures = [var.transitions]
}

run "refuses_to_delete_before_the_last_transition" {
  command = plan

  variables {
    expire_days = 90
  }

  expect_failures = [var.expire_days]
}
