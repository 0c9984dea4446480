"""Build the package for AWS and deploy it. The broker's topology and the Terraform modules are here too."""
