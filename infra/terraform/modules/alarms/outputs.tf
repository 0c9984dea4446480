output "arns" {
  description = "ARNs of all alarms, in the order of their names."
  value       = [for name in sort(keys(aws_cloudwatch_metric_alarm.this)) : aws_cloudwatch_metric_alarm.this[name].arn]
}

output "kinds" {
  description = "Kinds of alarm, each of which has a heading in docs/operators/runbooks.md."
  value       = sort(distinct([for alarm in local.alarms : alarm.kind]))
}
