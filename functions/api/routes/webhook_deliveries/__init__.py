"""The delivery log of webhooks: read it, and redeliver."""
