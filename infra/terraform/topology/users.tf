# The permissions on the broker, from the same file. No other file names exchanges and queues.

locals {
  # Dead letters go to these exchanges, and by their bindings to these queues.
  dead_letter_exchanges = distinct(compact([for one in local.topology.policies : lookup(one.definition, "dead-letter-exchange", "")]))
  dead_letter_queues    = distinct([for one in local.topology.bindings : one.destination if contains(local.dead_letter_exchanges, one.source)])
  working_exchanges     = setsubtract(keys(local.exchanges), local.dead_letter_exchanges)

  # The secret names the user in use, which may be the one with the suffix.
  functions_username = trimsuffix(var.functions_username, "-b")

  users = merge(
    {
      # Two users. A rotation changes the password of the one that is not in use (docs/operators/secrets.md).
      #
      # The relay publishes to the working exchanges, and functions dead-letter bad messages to the dead-letter
      # exchange. Queue mappings read from every queue, because the function dead-letters records what died. Nothing is
      # declared, so no configure permission is needed.
      functions = {
        name  = local.functions_username
        tags  = []
        write = keys(local.exchanges)
        read  = keys(local.queues)
      }
      functions-b = {
        name  = "${local.functions_username}-b"
        tags  = []
        write = keys(local.exchanges)
        read  = keys(local.queues)
      }
    },
    var.monitoring_username == "" ? {} : {
      # Reads queues, nodes and connections, but no messages.
      monitoring = { name = var.monitoring_username, tags = ["monitoring"], write = [], read = [] }
    },
    var.operator_username == "" ? {} : {
      # Reads, removes and republishes dead letters.
      operator = {
        name  = var.operator_username
        tags  = ["management"]
        write = local.working_exchanges
        read  = local.dead_letter_queues
      }
    },
  )

  # Separate from the users, because sensitive values cannot be used in for_each.
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
    # Rotation changes the password. The broker sets tags and password in one request, so a correction of the tags would
    # restore the initial password and lock the functions out.
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
