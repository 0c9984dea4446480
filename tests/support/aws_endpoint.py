"""An AWS endpoint of a test's own, which has nothing yet."""

REGION = "eu-central-1"
