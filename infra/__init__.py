"""What makes the package for AWS and deploys it; beside it the broker's topology and Terraform."""
