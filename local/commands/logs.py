"""Follows the log files of a stack, each line with the name of its file in front."""

import time
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.2
NAME_WIDTH = 18
# A line for every request to the AWS fake and every look at the port mapper tells nobody anything.
UNINTERESTING = {"moto", "epmd"}


class LogFollower:
    """Prints what is appended to `<logs>/*.log`, also to files that appear later."""

    def __init__(self, logs_dir: Path, *, lines_before: int = 0) -> None:
        """Begin `lines_before` lines before the present end of each file."""
        self._logs_dir = logs_dir
        self._offsets = {path: _offset_before_end(path, lines_before) for path in self._files()}

    def print_new(self) -> None:
        """Print every whole line that has come since the last call."""
        for path in self._files():
            with path.open("rb") as file:
                file.seek(self._start_of_new(path))
                text = file.read()
                whole = text[: text.rfind(b"\n") + 1]
            for line in whole.decode(errors="replace").splitlines():
                print(f"{path.stem:<{NAME_WIDTH}} | {line}", flush=True)
            self._offsets[path] += len(whole)

    def follow(self, watch: Callable[[float], None] = time.sleep) -> None:
        """Print for ever; `watch` waits the seconds it is given and may end this by an exception."""
        while True:
            self.print_new()
            watch(POLL_SECONDS)

    def _start_of_new(self, path: Path) -> int:
        """Where to go on; at the beginning of a file that is new or has become shorter."""
        offset = self._offsets.setdefault(path, 0)
        if path.stat().st_size < offset:
            offset = self._offsets[path] = 0
        return offset

    def _files(self) -> list[Path]:
        return sorted(path for path in self._logs_dir.glob("*.log") if path.stem not in UNINTERESTING)


def _offset_before_end(path: Path, lines: int) -> int:
    content = path.read_bytes()
    kept = content.splitlines(keepends=True)[-lines:] if lines else []
    return len(content) - sum(map(len, kept))
