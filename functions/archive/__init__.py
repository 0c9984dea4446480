"""The archive function: moves old months to S3, and brings them back."""
