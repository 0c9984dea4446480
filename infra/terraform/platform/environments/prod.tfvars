# Differences from the defaults, which suit production.

environment = "prod"
region      = "eu-central-1"
gateway_url = "https://api.gateway.example"

database_backup_days = 35

# alarm_emails = ["oncall@example.com"]
# budget       = { monthly_usd = 2000, emails = ["owner@example.com"] }

# Seven years that cannot be shortened. Set it before the bucket is created.
# archive_object_lock = { mode = "COMPLIANCE", days = 2555 }
