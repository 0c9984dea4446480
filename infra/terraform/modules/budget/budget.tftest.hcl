mock_provider "aws" {}

variables {
  environment        = "test"
  monthly_amount_usd = 250
  email_addresses    = ["operator@example.com"]
}

run "notifies_at_80_percent_spent_and_100_percent_forecast" {
  command = plan

  assert {
    condition = toset([for one in aws_budgets_budget.this.notification : "${one.notification_type} ${one.threshold}"]) == toset([
      "ACTUAL 80", "FORECASTED 100",
    ])
    error_message = "Two notifications."
  }

  assert {
    condition = alltrue([for one in aws_budgets_budget.this.notification :
      one.subscriber_email_addresses == toset(["operator@example.com"]) && one.threshold_type == "PERCENTAGE"
    ])
    error_message = "Each recipient is notified by e-mail."
  }

  assert {
    condition = (
      aws_budgets_budget.this.name == "paybridge-test"
      && aws_budgets_budget.this.limit_amount == "250"
      && aws_budgets_budget.this.time_unit == "MONTHLY"
      && length(aws_budgets_budget.this.cost_filter) == 0
    )
    error_message = "A month of the whole account."
  }
}

run "may_be_that_of_one_environment" {
  command = plan

  variables {
    cost_allocation_tag = "user:Environment$test"
  }

  assert {
    condition     = one(aws_budgets_budget.this.cost_filter).values == tolist(["user:Environment$test"])
    error_message = "The tag is the filter."
  }
}

run "a_budget_without_recipients_is_refused" {
  command = plan

  variables {
    email_addresses = []
  }

  expect_failures = [var.email_addresses]
}
