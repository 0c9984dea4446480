# Small and disposable: `terraform plan -var-file=environments/dev.tfvars`.

environment = "dev"
region      = "eu-central-1"
account_id  = "123456789012"
gateway_url = "https://sandbox.gateway.example"

apply_immediately    = true
log_retention_days   = 7
secret_recovery_days = 0

zones               = ["a", "b"]
nat                 = "single"
interface_endpoints = []
flow_log_traffic    = "REJECT"

database_instance_class      = "db.t4g.micro"
database_storage_gb          = 20
database_storage_gb_max      = 50
database_multi_az            = false
database_backup_days         = 1
database_deletion_protection = false
database_final_snapshot      = false
database_monitoring_seconds  = 0

broker_deployment_mode = "SINGLE_INSTANCE"
broker_instance_type   = "mq.m7g.medium"

# A machine with 1 GiB never has as much free memory as a large one.
database_freeable_memory_bytes_min = 104857600
