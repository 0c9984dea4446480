"""The webhooks function: sends merchants their events."""
