"""`python -m paybridge.cli`."""

from __future__ import annotations

from paybridge.cli import main

raise SystemExit(main())
