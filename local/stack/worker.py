"""`python -m local.stack.worker NAME`: `paybridge worker NAME`, by the stack's time."""

from __future__ import annotations

import os
import sys

from local.clock.offset import keep_stack_time
from paybridge import cli


def main() -> int:
    keep_stack_time(os.environ)
    return cli.main(["worker", *sys.argv[1:]])


if __name__ == "__main__":
    raise SystemExit(main())
