"""Streams of events: what they read, and how they answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.pages import count_fitting
from api.request.headers import WAIT_SECONDS_MAX
from api.routes.events import frames
from paybridge.core.clock import Clock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.feed.domain import FeedPage, Position

STREAMED_EVENTS_MAX = 100
_NOT_KEPT = {"Cache-Control": "no-store"}
# A proxy that buffers would hold an event back until the answer ends.
_HEADERS = {**_NOT_KEPT, "Content-Type": frames.MEDIA_TYPE, "X-Accel-Buffering": "no"}
# Mangum puts it into the scope. Lambda sends an answer when it is complete.
_BUFFERED_KEY = "aws.event"


@dataclass(frozen=True, slots=True)
class StreamStep:
    """What a stream sends next. `is_over`: nothing follows. `granted`: the request was allowed to wait for it."""

    page: FeedPage
    is_over: bool = False
    granted: bool = True


# Reads what comes after a position, and waits for it for at most so many seconds. Raises DatabaseUnavailable.
Source = Callable[[Position, float], Awaitable[StreamStep]]


async def stream_response(request: Request, clock: Clock, source: Source, after: Position) -> Response:
    """Return the events after the position as a stream, or 204 if nothing follows.

    A buffered answer ends with the first events. A streamed one goes on for as long as a request may wait. Raises
    Problem and DatabaseUnavailable before the answer begins.
    """
    step = await source(after, 0)
    if step.is_over and not step.page.events:
        return Response(status_code=204, headers=_NOT_KEPT)
    if _BUFFERED_KEY not in request.scope:
        return StreamingResponse(_streamed(clock, source, step, after), headers=_HEADERS)
    if not step.page.events:
        step = await source(step.page.end, WAIT_SECONDS_MAX)
    content = frames.retry_frame(is_busy=not step.granted) + frames.page_frames(_fitting(step.page), after)
    return Response(content, headers=_HEADERS)


async def _streamed(clock: Clock, source: Source, step: StreamStep, after: Position) -> AsyncIterator[bytes]:
    """Yield the frames of the step and those that follow, until nothing may follow or the time is over."""
    deadline = clock.now() + timedelta(seconds=WAIT_SECONDS_MAX)
    yield frames.retry_frame(is_busy=False)
    while True:
        yield frames.page_frames(step.page, after)
        after = step.page.end
        seconds_left = (deadline - clock.now()).total_seconds()
        if step.is_over or not step.granted or seconds_left <= 0:
            break
        try:
            step = await source(after, seconds_left)
        except DatabaseUnavailable:
            # The answer has begun, so it can only end. The client connects again and gets an honest 503.
            return
    if not step.granted:
        yield frames.retry_frame(is_busy=True)


def _fitting(page: FeedPage) -> FeedPage:
    """Return the page with as many events as fit into an answer."""
    return page.first(count_fitting([frames.view_bytes(event) for event in page.events]))
