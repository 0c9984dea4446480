output "plan_role_arn" {
  description = "Role for pull requests: set the repository's variable AWS_PLAN_ROLE_ARN to it."
  value       = aws_iam_role.this["plan"].arn
}

output "deploy_role_arn" {
  description = "Role for releases: set the variable AWS_DEPLOY_ROLE_ARN of the GitHub environment to it."
  value       = aws_iam_role.this["deploy"].arn
}
