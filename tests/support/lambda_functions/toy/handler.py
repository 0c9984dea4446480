"""Handlers that do what the event asks for."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    """Sleep, raise or exit by the event's `mode`; else tell about the invocation."""
    mode = event.get("mode")
    if mode == "sleep":
        time.sleep(event["seconds"])
    elif mode == "raise":
        raise ValueError("as asked for" * event.get("times", 1))
    elif mode == "exit":
        os._exit(3)
    elif mode == "big":
        return "x" * (7 * 1024 * 1024)
    return {
        "pid": os.getpid(),
        "event": event,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "greeting": os.environ["GREETING"],
    }


def web(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Answer an HTTP request with its own event, or with bytes where the path asks for them."""
    if event["rawPath"].endswith("/slow"):
        time.sleep(1)
    if event["rawPath"].endswith("/bytes"):
        body = base64.b64encode(bytes(range(256))).decode()
        return {"statusCode": 201, "headers": {"content-type": "image/png"}, "body": body, "isBase64Encoded": True}
    if event["rawPath"].endswith("/raise"):
        raise ValueError("as asked for")
    return {"statusCode": 200, "body": json.dumps(event), "cookies": ["a=1", "b=2"]}


def consumer(event: dict[str, Any], _: Any) -> None:
    """Note each batch in the file BATCHES; fail, or end the process, while one with `.fail` or `.exit` exists."""
    path = Path(os.environ["BATCHES"])
    messages = [message for batch in event["rmqMessagesByQueue"].values() for message in batch]
    bodies = [base64.b64decode(message["data"]).decode() for message in messages]
    with path.open("a") as batches:
        batches.write(json.dumps({"queues": list(event["rmqMessagesByQueue"]), "bodies": bodies}) + "\n")
    if path.with_suffix(".exit").exists():
        os._exit(3)
    if path.with_suffix(".fail").exists():
        raise ValueError("as asked for")
