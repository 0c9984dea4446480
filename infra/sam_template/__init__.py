"""The reader of `template.yaml`, for deployment, the offline stack and tests."""
