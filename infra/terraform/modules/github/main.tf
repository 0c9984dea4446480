# Two roles for GitHub Actions, assumed by OpenID Connect, so GitHub stores no key. A pull request and the plan of a
# release may read (plan). Only a job in the GitHub environment of the same name may change resources (deploy).

locals {
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = var.makes_oidc_provider ? aws_iam_openid_connect_provider.github[0].arn : data.aws_iam_openid_connect_provider.github[0].arn

  # How the token names the repository. Which form GitHub writes depends on the repository's age.
  names        = split("/", var.repository)
  numbered     = var.repository_ids == null ? [] : ["${local.names[0]}@${var.repository_ids.owner}/${local.names[1]}@${var.repository_ids.repository}"]
  repositories = concat([var.repository], local.numbered)

  # What a job of each role is, as the token's subject says. GitHub writes it, so a workflow cannot choose it. A release
  # is planned in a GitHub environment without reviewers, and applied in the one with them.
  contexts = {
    plan   = ["pull_request", "environment:${var.environment}-plan"]
    deploy = ["environment:${var.environment}"]
  }
  subjects = {
    for role, contexts in local.contexts : role => [
      for pair in setproduct(local.repositories, contexts) : "repo:${pair[0]}:${pair[1]}"
    ]
  }

  deploy_policy_arns = coalesce(var.deploy_policy_arns, ["arn:${data.aws_partition.this.partition}:iam::aws:policy/PowerUserAccess"])

  # The same key as in the workflows and in the platform's environments/*.s3.tfbackend.
  state_key = "paybridge/${var.environment}/platform.tfstate"

  identity_provider_reads = {
    ReadIdentityProvider = { action = "iam:GetOpenIDConnectProvider", resource = local.provider_arn }
    FindIdentityProvider = { action = "iam:ListOpenIDConnectProviders", resource = "*" }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.makes_oidc_provider ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_openid_connect_provider" "github" {
  count = var.makes_oidc_provider ? 0 : 1

  url = "https://${local.issuer}"
}

data "aws_iam_policy_document" "trust" {
  for_each = local.subjects

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = each.value
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.subjects

  name               = "paybridge-${var.environment}-github-${each.key}"
  description        = "GitHub Actions of ${var.repository}: ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
  # A broker replacement and a slow traffic shift together take longer than an hour.
  max_session_duration = each.key == "deploy" ? 7200 : 3600
}

# --- plan: reads resources, and no data except Terraform's state ------------------------------------------------------

# Anyone who may push a branch can run code with this role. So it only lists and describes. It reads no secrets, no
# logs, and only one object: the platform's state, which holds the initial password of the broker's administrator
# (docs/operators/platform.md). That is enough, because plans run without a refresh.
resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.this["plan"].name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/job-function/ViewOnlyAccess"
}

data "aws_iam_policy_document" "state" {
  statement {
    sid       = "ListState"
    actions   = ["s3:ListBucket"]
    resources = [var.state_bucket_arn]
  }

  # Not the state of other environments, nor that of the topology, which holds the functions' initial passwords.
  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = ["${var.state_bucket_arn}/${local.state_key}"]
  }

  statement {
    sid       = "DecryptState"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [var.state_bucket_arn, "${var.state_bucket_arn}/${local.state_key}"]
    }
  }

  # Every plan reads data sources. The identity provider is one if this module does not create it.
  dynamic "statement" {
    for_each = local.identity_provider_reads

    content {
      sid       = statement.key
      actions   = [statement.value.action]
      resources = [statement.value.resource]
    }
  }
}

resource "aws_iam_role_policy" "plan" {
  name   = "state"
  role   = aws_iam_role.this["plan"].name
  policy = data.aws_iam_policy_document.state.json
}

# --- deploy: all resources of the deployment, and only its own roles --------------------------------------------------

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = toset(local.deploy_policy_arns)

  role       = aws_iam_role.this["deploy"].name
  policy_arn = each.value
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid = "OwnRoles"
    actions = [
      "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
      "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies", "iam:ListRoleTags", "iam:PassRole", "iam:PutRolePolicy", "iam:TagRole", "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
    ]
    resources = ["arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:role/paybridge-${var.environment}-*"]
  }

  # A role that can change its own trust or permissions is an administrator.
  statement {
    sid       = "NotItself"
    effect    = "Deny"
    actions   = ["iam:AttachRolePolicy", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"]
    resources = [for name in keys(local.subjects) : aws_iam_role.this[name].arn]
  }

  dynamic "statement" {
    for_each = local.identity_provider_reads

    content {
      sid       = statement.key
      actions   = [statement.value.action]
      resources = [statement.value.resource]
    }
  }
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.this["deploy"].name
  policy = data.aws_iam_policy_document.deploy.json
}
