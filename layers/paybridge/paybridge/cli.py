"""The operator's command: `python -m paybridge.cli`, with the same environment variables as the functions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from uuid import UUID

from paybridge import wiring
from paybridge.domain.errors import PaybridgeError
from paybridge.domain.money import format_minor
from paybridge.domain.payment_query import TimelineEntry
from paybridge.usecases.payments.diagnose import Diagnosis, diagnose_payment


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = diagnose_payment(wiring.database(), wiring.clock(), options.payment_id)
    except PaybridgeError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        print(f"There is no payment {options.payment_id}.", file=sys.stderr)
        return 1
    print(_rendered(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="paybridge", description="Looks after a Paybridge.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    payment = commands.add_parser("payment", help="tell where a payment is, and why")
    payment.add_argument("payment_id", type=UUID, metavar="ID", help="the payment's id")
    return parser


def _rendered(found: Diagnosis) -> str:
    payment = found.payment
    lines = [
        f"{payment.id}  {format_minor(payment.amount_minor, payment.currency)} {payment.currency}  {payment.status}",
        f"merchant {payment.merchant_id}, correlation id {payment.correlation_id}",
        "",
        *[_line(entry) for entry in found.timeline],
        "",
        found.explanation,
    ]
    return "\n".join(lines)


def _line(entry: TimelineEntry) -> str:
    details = ", ".join(
        f"{name} {value}"
        for name, value in entry.details.items()
        if value is not None and not name.endswith("_id") and name != "operation"
    )
    return f"  {entry.at:%Y-%m-%d %H:%M:%S.%f}  {entry.type:<26}{details}".rstrip()


if __name__ == "__main__":
    raise SystemExit(main())
