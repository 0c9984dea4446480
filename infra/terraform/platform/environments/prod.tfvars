# What differs from the defaults, which are those of a production.

environment = "prod"
region      = "eu-central-1"
gateway_url = "https://api.gateway.example"

database_backup_days = 35

# alarm_emails = ["oncall@example.com"]
# budget       = { monthly_usd = 2000, emails = ["owner@example.com"] }

# Seven years that nobody can shorten; it can only be chosen before the bucket is made.
# archive_object_lock = { mode = "COMPLIANCE", days = 2555 }
