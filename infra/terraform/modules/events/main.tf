# The event bus on which the function bridge brings events to other AWS systems.

resource "aws_cloudwatch_event_bus" "this" {
  name        = var.name
  description = "Events of Paybridge"
}

resource "aws_cloudwatch_event_archive" "this" {
  count = var.archive_days == null ? 0 : 1

  name             = var.name
  description      = "Events of Paybridge, to be replayed"
  event_source_arn = aws_cloudwatch_event_bus.this.arn
  retention_days   = var.archive_days
}
