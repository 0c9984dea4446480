# Who may do what on the broker, from the same file: names of exchanges and queues are written nowhere else.

locals {
  # What no queue could take goes to these exchanges, and by their bindings to these queues.
  dead_letter_exchanges = distinct(compact([for one in local.topology.policies : lookup(one.definition, "dead-letter-exchange", "")]))
  dead_letter_queues    = distinct([for one in local.topology.bindings : one.destination if contains(local.dead_letter_exchanges, one.source)])
  working_exchanges     = setsubtract(keys(local.exchanges), local.dead_letter_exchanges)
  working_queues        = setsubtract(keys(local.queues), local.dead_letter_queues)

  # The secret names the one of the two that is in use.
  functions_username = trimsuffix(var.functions_username, "-b")

  users = merge(
    {
      # Two users who take turns: a rotation changes the password of the one that is not in use (docs/operators/secrets.md).
      #
      # The relay publishes to the working exchanges, whoever finds poison to the dead letters' one, and the queue
      # mappings take from the working queues. Asking how many dead letters wait (a passive declaration) takes some right
      # on their queue since RabbitMQ 4.3: to write, which lets nobody read them. Nothing is declared, so nothing is
      # configured.
      functions = {
        name  = local.functions_username
        tags  = []
        write = concat(keys(local.exchanges), local.dead_letter_queues)
        read  = local.working_queues
      }
      functions-b = {
        name  = "${local.functions_username}-b"
        tags  = []
        write = concat(keys(local.exchanges), local.dead_letter_queues)
        read  = local.working_queues
      }
    },
    var.monitoring_username == "" ? {} : {
      # Sees queues, nodes and connections, and no message.
      monitoring = { name = var.monitoring_username, tags = ["monitoring"], write = [], read = [] }
    },
    var.operator_username == "" ? {} : {
      # Looks at dead letters, takes them out and publishes them again.
      operator = {
        name  = var.operator_username
        tags  = ["management"]
        write = local.working_exchanges
        read  = local.dead_letter_queues
      }
    },
  )

  # Apart from the users, because what is sensitive cannot say which resources there are.
  passwords = {
    functions   = var.functions_password
    functions-b = var.functions_password
    monitoring  = var.monitoring_password
    operator    = var.operator_password
  }
}

resource "rabbitmq_user" "this" {
  for_each = local.users

  name     = each.value.name
  password = local.passwords[each.key]
  tags     = each.value.tags

  lifecycle {
    # Rotation changes the password. The broker sets tags and password by one request, so that mending the tags would
    # bring the first password back, and lock the functions out.
    ignore_changes = [password, tags]
  }
}

resource "rabbitmq_permissions" "this" {
  for_each = local.users

  user  = rabbitmq_user.this[each.key].name
  vhost = local.vhost

  permissions {
    configure = "^$"
    write     = "^(${join("|", [for name in sort(each.value.write) : replace(name, ".", "\\.")])})$"
    read      = "^(${join("|", [for name in sort(each.value.read) : replace(name, ".", "\\.")])})$"
  }
}
