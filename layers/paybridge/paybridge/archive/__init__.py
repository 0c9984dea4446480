"""Archive old months of the big tables in S3, and restore them."""
