"""The bridge function: brings events to an EventBridge bus."""
