# Differences from the defaults, which suit production.

environment = "prod"
region      = "eu-central-1"
account_id  = "123456789012"
gateway_url = "https://api.gateway.example"

database_backup_days = 35

# alarm_emails = ["oncall@example.com"]
# budget       = { monthly_usd = 2000, emails = ["owner@example.com"] }
