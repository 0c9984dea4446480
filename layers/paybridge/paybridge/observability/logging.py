"""Log one JSON object a line, by Powertools, with the correlation id of the current work."""

from __future__ import annotations

import json
import logging
from typing import IO, Any

import orjson
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

# A dataclass is logged as its text, which hides secrets. orjson would write out its fields.
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
# All other attributes of a record were given with the line. Other formatters add the last two.
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

# No line names a thread or a process, and finding out about them is a third of making a record.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# Their INFO lines report each request and each search for credentials. Their DEBUG lines show a secret's content. On
# Lambda they would reach the log by the root logger, which has the function's level.
LIBRARIES = ("aio_pika", "aiohttp", "aiormq", "asyncio", "boto3", "botocore", "httpcore", "httpx", "urllib3")
for _library in LIBRARIES:
    logging.getLogger(_library).setLevel(logging.WARNING)


class LineFormatter(LambdaPowertoolsFormatter):
    """Powertools' lines, put together in half of its time.

    Powertools tries to read every message as JSON, and copies each record to format its keys by templates. Lines with
    an exception are its own.
    """

    def __init__(self) -> None:
        super().__init__(json_serializer=json_text, utc=True, use_rfc3339=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record: its place and message, the logger's keys, and what was given with it."""
        if record.exc_info:
            return super().format(record)
        line = {
            **self.get_current_keys(),
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": record.getMessage(),
            "timestamp": self.formatTime(record),
            "xray_trace_id": self._get_latest_trace_id(),
            **{name: value for name, value in vars(record).items() if name not in _RECORD_ATTRIBUTES},
        }
        return json_text({name: value for name, value in line.items() if value is not None})


def logger(service: str | None = None, stream: IO[str] | None = None) -> Logger:
    """Return the logger of this function, which writes to `stream` or to standard output.

    Level and service, if not given, come from the POWERTOOLS_* variables.
    """
    return Logger(service=service, stream=stream, logger_formatter=LineFormatter())


def json_text(record: Any) -> str:
    """Encode one line of the log. orjson saves a quarter of its time."""
    try:
        return orjson.dumps(record, default=str, option=_OPTIONS).decode()
    except orjson.JSONEncodeError:
        # A lone surrogate, or a number beyond 64 bits: no line may be lost for its content.
        return json.dumps(record, default=str, separators=(",", ":"))
