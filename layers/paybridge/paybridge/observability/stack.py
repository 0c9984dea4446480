"""Show where an error came from, without what the log must not repeat."""

from __future__ import annotations

import traceback

FRAMES_MAX = 20


def stack_frames(error: BaseException) -> list[str]:
    """Return the innermost frames, without messages and source: a database's message repeats values of the row."""
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES_MAX:]
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames]
