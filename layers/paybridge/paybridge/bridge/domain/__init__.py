"""What the bridge decides without the outside."""
