# Who may assume the two roles, and the limits of their permissions.

mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  environment      = "prod"
  repository       = "acme/paybridge"
  state_bucket_arn = "arn:aws:s3:::acme-terraform"
}

run "each_role_trusts_its_own_jobs" {
  command = plan

  assert {
    condition = {
      for name, document in data.aws_iam_policy_document.trust : name => flatten([
        for condition in document.statement[0].condition : condition.values if endswith(condition.variable, ":sub")
      ])
      } == {
      plan   = ["repo:acme/paybridge:pull_request", "repo:acme/paybridge:environment:prod-plan"]
      deploy = ["repo:acme/paybridge:environment:prod"]
    }
    error_message = "A role trusts a wrong subject."
  }

  assert {
    condition = alltrue([
      for document in data.aws_iam_policy_document.trust : anytrue([
        for condition in document.statement[0].condition :
        endswith(condition.variable, ":aud") && tolist(condition.values) == tolist(["sts.amazonaws.com"])
      ])
    ])
    error_message = "A token for another audience is accepted."
  }
}

run "both_forms_of_the_subject_are_trusted_once_the_numbers_are_known" {
  command = plan

  variables {
    repository_ids = { owner = "9919", repository = "1296269" }
  }

  assert {
    condition = {
      for name, document in data.aws_iam_policy_document.trust : name => flatten([
        for condition in document.statement[0].condition : condition.values if endswith(condition.variable, ":sub")
      ])
      } == {
      plan = [
        "repo:acme/paybridge:pull_request",
        "repo:acme/paybridge:environment:prod-plan",
        "repo:acme@9919/paybridge@1296269:pull_request",
        "repo:acme@9919/paybridge@1296269:environment:prod-plan",
      ]
      deploy = ["repo:acme/paybridge:environment:prod", "repo:acme@9919/paybridge@1296269:environment:prod"]
    }
    error_message = "A form of the subject is missing, or one too many is trusted."
  }
}

run "numbers_with_a_star_are_refused" {
  command = plan

  variables {
    repository_ids = { owner = "*", repository = "1296269" }
  }

  expect_failures = [var.repository_ids]
}

run "empty_numbers_are_refused" {
  command = plan

  variables {
    repository_ids = { owner = "9919", repository = "" }
  }

  expect_failures = [var.repository_ids]
}

run "a_repository_written_with_its_numbers_is_refused" {
  command = plan

  variables {
    repository = "acme@9919/paybridge@1296269"
  }

  expect_failures = [var.repository]
}

run "a_plan_sees_no_data_but_the_state" {
  command = plan

  assert {
    condition     = endswith(aws_iam_role_policy_attachment.plan.policy_arn, "job-function/ViewOnlyAccess")
    error_message = "The plan role reads more than descriptions."
  }

  assert {
    condition = toset(flatten([for one in data.aws_iam_policy_document.state.statement : one.actions])) == toset([
      "s3:ListBucket", "s3:GetObject", "kms:Decrypt", "iam:GetOpenIDConnectProvider", "iam:ListOpenIDConnectProviders"
    ])
    error_message = "The plan role may do more than read the state and find GitHub's identity provider."
  }

  assert {
    condition = flatten([
      for one in data.aws_iam_policy_document.state.statement : one.resources if contains(one.actions, "s3:GetObject")
    ]) == ["arn:aws:s3:::acme-terraform/paybridge/prod/platform.tfstate"]
    error_message = "The plan role reads other states, which hold other passwords."
  }
}

run "a_deploy_does_not_change_its_own_rights" {
  command = plan

  assert {
    condition = anytrue([
      for one in data.aws_iam_policy_document.deploy.statement :
      one.effect == "Deny" && contains(one.actions, "iam:PutRolePolicy") && contains(one.actions, "iam:AttachRolePolicy")
    ])
    error_message = "The deploying role may extend its own permissions."
  }
}

run "the_identity_provider_of_the_account_is_used_where_there_is_one" {
  command = plan

  variables {
    makes_oidc_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "An account can have GitHub's provider only once."
  }
}

run "a_repository_with_a_star_is_refused" {
  command = plan

  variables {
    repository = "acme/*"
  }

  expect_failures = [var.repository]
}
