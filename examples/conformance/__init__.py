"""Check an HTTP API against draft-ietf-httpapi-idempotency-key-header, from outside.

The package needs httpx and rich. Its imports are relative, so that the folder can be copied into any project.
"""

from __future__ import annotations
