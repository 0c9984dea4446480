"""What the bridge keeps."""
