"""A client of an AWS service, made on first use by any of several threads."""

from __future__ import annotations

from threading import Lock
from typing import Any


class LazyClient:
    """Makes the client of a service once."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._lock = Lock()
        self._client: Any = None

    def get(self) -> Any:
        """Return the client, which never repeats a call."""
        from paybridge.notifications.aws import client_of

        with self._lock:
            if self._client is None:
                self._client = client_of(self._service)
        return self._client
