# The SSM parameters of template.yaml. CloudFormation reads their values at each deployment.

resource "aws_ssm_parameter" "this" {
  # checkov:skip=CKV2_AWS_34:Addresses and ARNs, no secrets. CloudFormation cannot read a SecureString into a parameter.
  # checkov:skip=CKV_AWS_337:Addresses and ARNs, no secrets. CloudFormation cannot read a SecureString into a parameter.
  for_each = merge(
    { for name, value in var.strings : name => { type = "String", value = value } },
    { for name, values in var.lists : name => { type = "StringList", value = join(",", values) } },
  )

  name  = "/paybridge/${var.environment}/${each.key}"
  type  = each.value.type
  value = each.value.value
}
