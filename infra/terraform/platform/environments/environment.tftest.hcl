# Plan an environment from its variables alone: `terraform test -test-directory=environments
# -filter=environments/environment.tftest.hcl -var-file=environments/dev.tfvars`.

mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

run "plans" {
  command = plan
}
