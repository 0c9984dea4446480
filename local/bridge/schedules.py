"""The ticker, in place of EventBridge Scheduler, for rate() schedules."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import orjson

from infra.sam_template.definitions import ACCOUNT_ID, FunctionDefinition, ScheduleEvent
from local.lambda_host.model import InvokeError, Invoker
from paybridge.core.clock import process_time

logger = logging.getLogger(__name__)


def schedule_tickers(
    functions: Iterable[FunctionDefinition], invoker: Invoker, *, region: str
) -> Iterator[Coroutine[Any, Any, None]]:
    """Return a coroutine for every enabled rate() schedule. It fires at once and then each period until cancelled."""
    for function in functions:
        for schedule in function.schedules:
            if not schedule.enabled:
                continue
            if schedule.period_seconds is None:
                logger.warning(
                    "The schedule %s (%s) does not fire locally: it is not a rate().",
                    schedule.name,
                    schedule.expression,
                )
                continue
            yield _tick(schedule, schedule.period_seconds, function.logical_id, invoker, region)


async def _tick(
    schedule: ScheduleEvent, period_seconds: float, function_name: str, invoker: Invoker, region: str
) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await invoker.invoke_event(function_name, schedule_event(schedule, region), schedule.retry_policy)
        except InvokeError as error:
            logger.warning("The schedule %s could not fire: %s", schedule.name, error)
        due += period_seconds
        # A machine that slept does not make up for the periods it missed.
        due = max(due, loop.time())
        await asyncio.sleep(due - loop.time())


def schedule_event(schedule: ScheduleEvent, region: str) -> bytes:
    """Return the schedule's own input, or what EventBridge Scheduler sends without one."""
    if schedule.input_json is not None:
        return schedule.input_json.encode()
    return orjson.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT_ID,
            "time": f"{process_time():%Y-%m-%dT%H:%M:%SZ}",
            "region": region,
            "resources": [f"arn:aws:scheduler:{region}:{ACCOUNT_ID}:schedule/default/{schedule.name}"],
            "detail": "{}",
        }
    )
