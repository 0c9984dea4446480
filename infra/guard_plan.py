"""`python -m infra.guard_plan PLAN.json`: refuse a Terraform plan that deletes or replaces what holds data.

It needs no installed package, so that a workflow can run it on its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

# What cannot be made again with what it held: payments, messages on their way, and everything that a key encrypts.
PROTECTED_TYPES = {
    "aws_db_instance": "the database",
    "aws_mq_broker": "the broker with its messages",
    "aws_kms_key": "the key of all data",
}


def main(arguments: list[str]) -> int:
    """Return 0 if the plan may be applied. Otherwise print what it would delete, and return 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.guard_plan", description="Refuse a plan that deletes data.")
    parser.add_argument("plan", type=Path, help="the output of `terraform show -json`")
    parser.add_argument("--allow", default="", metavar="ADDRESSES", help="addresses that may be deleted, with commas")
    options = parser.parse_args(arguments)
    plan = json.loads(options.plan.read_text(encoding="utf-8"))
    allowed = {address.strip() for address in options.allow.split(",")}
    refused = losses(plan, allowed)
    for address, what in refused.items():
        print(f"The plan deletes {address}, {what}. If that is wanted, allow this address.", file=sys.stderr)
    return 1 if refused else 0


def losses(plan: Mapping[str, Any], allowed: Collection[str]) -> dict[str, str]:
    """Return what the plan deletes or replaces of the protected types, by address, except the allowed addresses."""
    return {
        change["address"]: PROTECTED_TYPES[change["type"]]
        for change in plan.get("resource_changes", ())
        if change["type"] in PROTECTED_TYPES
        and "delete" in change["change"]["actions"]
        and change["address"] not in allowed
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
