# All objects of the broker, from infra/topology.json. The offline stack declares them from the same file.

locals {
  topology = jsondecode(file("${path.module}/../../topology.json"))

  # A queue with more than one shard remains, with its messages. Its bindings are moved to an exchange that distributes
  # the messages among `<queue>.0`, `<queue>.1` and so on.
  sharded = { for one in local.topology.shards : one.queue => one if one.count > 1 }

  exchanges = merge(
    { for one in local.topology.exchanges : one.name => merge({ arguments = {} }, one) },
    { for one in values(local.sharded) : one.exchange => {
      name      = one.exchange
      type      = "x-consistent-hash"
      durable   = true
      arguments = { hash-header = one.hash_header }
    } },
  )

  whole_queues = { for one in local.topology.queues : one.name => one }
  queues = merge(local.whole_queues, merge([
    for name, one in local.sharded : {
      for number in range(one.count) : "${name}.${number}" => merge(local.whole_queues[name], { name = "${name}.${number}" })
    }
  ]...))

  bindings = concat(
    [for one in local.topology.bindings : {
      source           = one.source
      destination      = try(local.sharded[one.destination].exchange, one.destination)
      destination_type = contains(keys(local.sharded), one.destination) ? "exchange" : "queue"
      routing_key      = one.routing_key
    }],
    # The routing key of a binding to such an exchange is the weight of the queue in the hash.
    flatten([for name, one in local.sharded : [for number in range(one.count) : {
      source           = one.exchange
      destination      = "${name}.${number}"
      destination_type = "queue"
      routing_key      = "1"
    }]]),
  )

  makes_vhost = var.vhost != "/" && !var.vhost_exists
  vhost       = local.makes_vhost ? rabbitmq_vhost.this[0].name : var.vhost
}

resource "rabbitmq_vhost" "this" {
  count = local.makes_vhost ? 1 : 0
  name  = var.vhost
}

resource "rabbitmq_exchange" "this" {
  for_each = local.exchanges

  name  = each.key
  vhost = local.vhost

  settings {
    type      = each.value.type
    durable   = each.value.durable
    arguments = each.value.arguments
  }
}

# Limits and dead-lettering are policies, so that they change without destroying a queue that has payments in it.
resource "rabbitmq_policy" "this" {
  for_each = { for one in local.topology.policies : one.name => one }

  name  = each.key
  vhost = local.vhost

  policy {
    pattern    = each.value.pattern
    apply_to   = each.value.apply_to
    priority   = each.value.priority
    definition = each.value.definition
  }

  depends_on = [rabbitmq_exchange.this]
}

resource "rabbitmq_queue" "this" {
  for_each = local.queues

  name  = each.key
  vhost = local.vhost

  settings {
    durable        = each.value.durable
    auto_delete    = false
    arguments_json = jsonencode(each.value.arguments)
  }

  # So a queue never exists without its limits.
  depends_on = [rabbitmq_policy.this]

  lifecycle {
    # The provider cannot change a queue. It would destroy the queue with its payments and create a new one.
    prevent_destroy = true
  }
}

resource "rabbitmq_binding" "this" {
  for_each = { for one in local.bindings : "${one.source} ${one.routing_key} ${one.destination}" => one }

  vhost            = local.vhost
  source           = each.value.source
  destination      = each.value.destination
  destination_type = each.value.destination_type
  routing_key      = each.value.routing_key

  depends_on = [rabbitmq_exchange.this, rabbitmq_queue.this]

  lifecycle {
    # While the number of shards changes, a message may arrive twice, but always has a queue.
    create_before_destroy = true
  }
}
