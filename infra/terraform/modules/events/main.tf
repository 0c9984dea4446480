# The event bus that publishes payments to other systems of the account.

resource "aws_cloudwatch_event_bus" "this" {
  name        = var.name
  description = "Events of payments"
}

resource "aws_cloudwatch_event_archive" "this" {
  name             = var.name
  description      = "Events of payments, to be replayed"
  event_source_arn = aws_cloudwatch_event_bus.this.arn
  retention_days   = var.archive_days
}
