"""The command: `python -m examples.conformance URL`, with the caller's key in CONFORMANCE_KEY or `--key`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .report import print_json, print_table, printable
from .rules import Verdict
from .settings import DEFAULTS, Settings, Unusable, load
from .suite import opened, run

KEPT, BROKEN, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Check an API. Return 0 if it breaks no rule, 1 if it does, 2 if it could not be checked."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options)
        with opened(options.url, options.key, settings) as api:
            results = run(api)
            (print_json if options.json else print_table)(api, results)
    except Unusable as error:
        print(printable(str(error)), file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        return 130
    return BROKEN if any(finding.verdict is Verdict.BROKEN for _, finding in results) else KEPT


def _settings(options: argparse.Namespace) -> Settings:
    if not options.url:
        raise Unusable("Name the API and a key: make conformance URL=http://127.0.0.1:8000 KEY=secret-api-key.")
    settings = load(Path(options.config) if options.config else DEFAULTS)
    return replace(settings, other_key=options.other_key) if options.other_key else settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance",
        description="Check how an API handles Idempotency-Key against the IETF draft. It creates some 20 resources.",
    )
    parser.add_argument("url", nargs="?", default="", metavar="URL", help="base URL, such as http://127.0.0.1:8000")
    parser.add_argument(
        "--key", default=os.environ.get("CONFORMANCE_KEY", ""), help="the caller's key (default: CONFORMANCE_KEY)"
    )
    parser.add_argument(
        "--other-key",
        default=os.environ.get("CONFORMANCE_OTHER_KEY", ""),
        help="the key of a second caller (default: CONFORMANCE_OTHER_KEY)",
    )
    parser.add_argument("--config", metavar="FILE", help="settings in TOML or JSON (default: those of Paybridge)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
