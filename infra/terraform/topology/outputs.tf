output "queues" {
  description = "The names of all queues, for event source mappings and alarms."
  value       = sort(keys(local.queues))
}

output "payment_shards" {
  description = "Number of shards of payments.new: the parameter PaymentShards of template.yaml."
  value       = one([for one in local.topology.shards : one.count if one.queue == "payments.new"])
}

output "functions_username" {
  description = "The functions' user, for the secret that rotation changes."
  value       = rabbitmq_user.this["functions"].name
}
