# Two roles for GitHub Actions, taken by OpenID Connect: no key is kept at GitHub. A pull request may look (plan), and
# only a job in the GitHub environment of the same name may change (deploy).

locals {
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = var.makes_oidc_provider ? aws_iam_openid_connect_provider.github[0].arn : data.aws_iam_openid_connect_provider.github[0].arn

  # Whose token each role takes. GitHub writes the subject; a workflow cannot choose it.
  subjects = {
    plan   = "repo:${var.repository}:pull_request"
    deploy = "repo:${var.repository}:environment:${var.environment}"
  }

  # As in the workflows and in environments/*.s3.tfbackend of the platform.
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
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.subjects

  name               = "paybridge-${var.environment}-github-${each.key}"
  description        = "GitHub Actions of ${var.repository}: ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
  # A broker made anew and a slow traffic shift together take longer than an hour.
  max_session_duration = each.key == "deploy" ? 7200 : 3600
}

# --- plan: sees what there is, and no data but Terraform's state ------------------------------------------------------

# Whoever may push a branch can run code of their own with this role: it lists and describes, and reads neither secrets
# nor logs, and of objects the platform's state alone. That one holds the password with which the broker's administrator
# was made (docs/operators/platform.md). Plans are made without a refresh, so that this is enough.
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

  # Neither the other environments', nor the topology's with the functions' first passwords.
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

  # Data sources are read by every plan, and where the provider is not made here it is one.
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

# --- deploy: everything of the deployment, and no roles but its own ---------------------------------------------------

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = toset(var.deploy_policy_arns)

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

  # A role that could change its own trust or rights would be an administrator's.
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
