resource "aws_budgets_budget" "this" {
  name         = "paybridge-${var.environment}"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_amount_usd)
  limit_unit   = "USD"

  dynamic "cost_filter" {
    for_each = var.cost_allocation_tag == "" ? [] : [var.cost_allocation_tag]
    content {
      name   = "TagKeyValue"
      values = [cost_filter.value]
    }
  }

  # Notify on actual spending with time left to react, and earlier on the forecast for the month.
  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.email_addresses
    }
  }
}
