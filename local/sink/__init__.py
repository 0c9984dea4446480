"""The webhook sink: a receiver that verifies signatures, records what arrives and misbehaves on request."""
