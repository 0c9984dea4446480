output "plan_role_arn" {
  description = "The role of pull requests: the repository's variable AWS_PLAN_ROLE_ARN."
  value       = aws_iam_role.this["plan"].arn
}

output "deploy_role_arn" {
  description = "The role of releases: the variable AWS_DEPLOY_ROLE_ARN of the GitHub environment."
  value       = aws_iam_role.this["deploy"].arn
}
