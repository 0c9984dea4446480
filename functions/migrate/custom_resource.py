"""CloudFormation's protocol of custom resources: every event names a URL and must be answered there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import urllib3

from paybridge.core.causes import causes_of
from paybridge.core.errors import PaybridgeError, Unavailable
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames

# CloudFormation accepts 4 KiB in all.
REASON_CHARACTERS_MAX = 1000
ANSWER_SECONDS_MAX = 5.0
ANSWER_TRIES = urllib3.Retry(total=2, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), allowed_methods=None)

Event = dict[str, Any]

log = logger()


def serve(event: Event, seconds_max: float, work: Callable[[Event], dict[str, str]]) -> None:
    """Do the work of one event and answer CloudFormation with its result, or with the reason why it failed.

    Work that takes longer than `seconds_max` is answered as failed while it still runs: Lambda would end it silently,
    and CloudFormation would wait for an hour. Raises Unavailable if the answer cannot be delivered.
    """
    answer = _Answer(event)
    clock = threading.Timer(seconds_max, answer.fail, [f"It was not done after {seconds_max:.0f} s."])
    clock.daemon = True
    clock.start()
    try:
        data = work(event)
    except Exception as error:  # noqa: BLE001 -- CloudFormation must be answered whatever the error is.
        # Without the text of the error, which may repeat values of rows.
        kind, cause = type(error).__name__, causes_of(error)
        log.error("the work failed", error_type=kind, cause=cause, stack=stack_frames(error))  # noqa: TRY400
        answer.fail(_reason(error))
    else:
        answer.succeed(data)
    finally:
        clock.cancel()


def _reason(error: Exception) -> str:
    """Return the text of our own errors. The text of others may hold anything, so only their type is shown."""
    return str(error) if isinstance(error, PaybridgeError) else f"{type(error).__name__}; the log says where."


class _Answer:
    """The one answer to an event. A second one is ignored."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._lock = threading.Lock()
        self._is_given = False

    def succeed(self, data: dict[str, str]) -> None:
        """Answer that the resource is as requested."""
        self._give({"Status": "SUCCESS", "Data": data})

    def fail(self, reason: str) -> None:
        """Answer that the work failed, and why."""
        log.error("failed", reason=reason)
        self._give({"Status": "FAILED", "Reason": reason[:REASON_CHARACTERS_MAX]})

    def _give(self, answer: dict[str, Any]) -> None:
        with self._lock:
            if self._is_given:
                return
            self._put({**answer, **_addressee(self._event)})
            self._is_given = True

    def _put(self, answer: dict[str, Any]) -> None:
        try:
            # The address is signed for an empty content type.
            response = urllib3.request(
                "PUT",
                self._event["ResponseURL"],
                body=json.dumps(answer).encode(),
                headers={"Content-Type": ""},
                timeout=ANSWER_SECONDS_MAX,
                retries=ANSWER_TRIES,
            )
        except urllib3.exceptions.HTTPError as error:
            # Its text has the whole URL. With the signature from the log, a reader could answer in our place.
            raise Unavailable(f"CloudFormation does not accept the answer: {type(error).__name__}.") from None
        log.info("answered CloudFormation", status=answer["Status"], http_status=response.status)


def _addressee(event: Event) -> dict[str, str]:
    """Return the ids by which CloudFormation matches the answer to its event.

    The physical id never changes, because CloudFormation would delete the resource of the old one.
    """
    return {
        "PhysicalResourceId": event.get("PhysicalResourceId") or f"{event['LogicalResourceId']}-of-the-schema",
        "LogicalResourceId": event["LogicalResourceId"],
        "RequestId": event["RequestId"],
        "StackId": event["StackId"],
    }
