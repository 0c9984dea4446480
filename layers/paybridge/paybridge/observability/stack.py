"""Where an error came from, fit for the log."""

from __future__ import annotations

import traceback

FRAMES_MAX = 20


def stack_frames(error: BaseException) -> list[str]:
    """The innermost frames, without messages and source: a database's message repeats the values of the row."""
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES_MAX:]
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames]
