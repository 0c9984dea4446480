"""The bridge: every published event on an EventBridge bus, for other AWS systems."""
