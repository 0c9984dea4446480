"""Server-sent events as text (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each answer is a long poll: how soon to connect again, the events, and the end. So it works where answers are buffered,
as behind an HTTP API of API Gateway, and where they are streamed.
"""

from __future__ import annotations

from uuid import UUID

import orjson

from paybridge.feed.domain import FeedEvent, FeedPage, Position, event_view

MEDIA_TYPE = "text/event-stream"
# Connecting again costs a request. Events that come faster share an answer.
RETRY_MS = 250
BUSY_RETRY_MS = 5000
NOTHING_CAME = b": nothing came\n\n"


def retry_frame(*, is_busy: bool) -> bytes:
    """Return the frame that says how soon to connect again: later if too many requests are waiting."""
    return b"retry: %d\n\n" % (BUSY_RETRY_MS if is_busy else RETRY_MS)


def page_frames(page: FeedPage, before: Position) -> bytes:
    """Return the frames of a page that was read after the position `before`.

    One without events moves the cursor past those that do not match. Clients see no event in that.
    """
    if page.events:
        return b"".join(event_frame(event) for event in page.events)
    return (b"id: %s\n\n" % _text(page.end.event_id) if page.end != before else b"") + NOTHING_CAME


def event_frame(event: FeedEvent) -> bytes:
    """Return the frame of an event. Its JSON has no line breaks."""
    return b"id: %s\ndata: %s\n\n" % (_text(event.id), view_bytes(event))


def view_bytes(event: FeedEvent) -> bytes:
    """Return the event as JSON."""
    return orjson.dumps(event_view(event))


def _text(event_id: UUID) -> bytes:
    return str(event_id).encode()
