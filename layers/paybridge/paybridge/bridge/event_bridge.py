"""An EventBridge bus as EventBus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock
from typing import Any

from paybridge.bridge.domain.answers import OUT_OF_TIME, Answer, NotTaken, Taken
from paybridge.bridge.domain.entries import Entry
from paybridge.core.events import SOURCE

# A call takes 7 s at worst. What fails is sent again by the caller, together with what else has failed.
CONNECT_SECONDS_MAX = 2
READ_SECONDS_MAX = 5
ATTEMPTS_MAX = 1
# What EventBridge says of an entry that it will never take. Anything else may pass: too many calls, an error inside of
# EventBridge, or a right that is missing, which a deployment repairs.
_PERMANENT_FOR_ENTRY = frozenset(
    {
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
        "RedactionFailure",
    }
)


# What the whole call gets for a fault of one of its entries.
_FAULTY_CALL = frozenset(
    {"ParamValidationError", "RequestEntityTooLargeException", "SerializationException", "ValidationException"}
)


class EventBridgeBus:
    """EventBus by boto3, whose client is made with the first call."""

    def __init__(self, name: str, connections_max: int) -> None:
        self._name = name
        self._connections_max = connections_max
        self._lock = Lock()
        self._client: Any = None

    def put(self, entries: Sequence[Entry], start_until: float) -> list[Answer]:
        """See EventBus."""
        # Imported late: boto3 takes a tenth of a second.
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._made_client().put_events(Entries=[self._argument(entry) for entry in entries])
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "")) or "unknown"
        except BotoCoreError as error:
            code = type(error).__name__
        else:
            return [_answer_of(result) for result in answer["Entries"]]
        if code in _FAULTY_CALL and len(entries) > 1:
            # Alone, the faulty entry is found and the others are taken.
            return [self._put_alone(entry, start_until) for entry in entries]
        return [NotTaken(code, is_permanent=code in _FAULTY_CALL)] * len(entries)

    def _put_alone(self, entry: Entry, start_until: float) -> Answer:
        if time.monotonic() > start_until:
            return NotTaken(OUT_OF_TIME)
        return self.put([entry], start_until)[0]

    def _argument(self, entry: Entry) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": entry.type,
            "Time": entry.time,
            "Detail": entry.detail,
        }

    def _made_client(self) -> Any:
        import boto3
        from botocore.config import Config

        with self._lock:
            if self._client is None:
                config = Config(
                    connect_timeout=CONNECT_SECONDS_MAX,
                    read_timeout=READ_SECONDS_MAX,
                    retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
                    max_pool_connections=self._connections_max,
                )
                # Not the default session, because another thread may make another client at the same time.
                self._client = boto3.Session().client("events", config=config)
        return self._client


def _answer_of(result: dict[str, Any]) -> Answer:
    code = result.get("ErrorCode")
    return NotTaken(str(code), is_permanent=code in _PERMANENT_FOR_ENTRY) if code else Taken()
