"""Check payments from outside: by the API, the gateway's own log and the receiver of webhooks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

FINAL = frozenset({"succeeded", "failed", "canceled"})
PAGE_SIZE = 100
POLL_SECONDS = 0.5
# The API's clock may be behind ours by some milliseconds.
CLOCK_SLACK = timedelta(seconds=5)


@dataclass(slots=True)
class Verdict:
    """The faults of the payments: a list of ids for each kind. Without faults all lists are empty."""

    not_found: list[str] = field(default_factory=list)
    not_settled: list[str] = field(default_factory=list)
    not_charged: list[str] = field(default_factory=list)
    charged_twice: list[str] = field(default_factory=list)
    without_webhook: list[str] = field(default_factory=list)
    delivered_twice: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    last_webhook_at: float = 0.0

    def faults(self) -> dict[str, list[str]]:
        """Return the ids of each kind of fault that occurred."""
        kinds = ("not_found", "not_settled", "not_charged", "charged_twice", "without_webhook", "delivered_twice")
        return {kind.replace("_", " "): getattr(self, kind) for kind in kinds if getattr(self, kind)}


class Onlooker:
    """Watch the payments created since `started_at` whose webhooks go to `path` of the sink.

    `gateway_url` and `sink_url` are None for a deployed stack: then only the API is asked.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        started_at: datetime,
        *,
        gateway_url: str | None,
        sink_url: str | None,
        path: str,
    ) -> None:
        self._client = httpx.Client(timeout=60, trust_env=False)
        self._payments_url = f"{api_url}/api/v1/payments"
        self._headers = {"X-API-Key": api_key}
        self._since = (started_at - CLOCK_SLACK).isoformat()
        self._started_at = started_at
        self._gateway_url = gateway_url
        self._sink_url = sink_url
        self._path = path
        # The webhook ids of each payment. Each query asks the sink only for new webhooks.
        self._webhook_ids: dict[str, set[str]] = {}
        self._unverified: set[str] = set()
        self._last_webhook_at = 0.0
        self._webhooks_seen = 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def wait(self, ids: Collection[str], seconds_max: float, say: Callable[[int], None]) -> Verdict:
        """Wait until every payment is final and delivered, or the time is up, and return the faults.

        Call `say` repeatedly with the number of webhooks that have arrived.
        """
        deadline = time.monotonic() + seconds_max
        wanted = set(ids)
        while time.monotonic() < deadline:
            arrived = len(self.webhooks() & wanted) if self._sink_url else len(wanted)
            say(arrived)
            if arrived == len(wanted) and not self._has_open():
                break
            time.sleep(POLL_SECONDS)
        return self.judge(wanted)

    def webhooks(self) -> set[str]:
        """Return the payments whose verified webhook has arrived."""
        url = f"{self._sink_url}/received"
        for webhook in self._get(url, {"path": self._path, "after": str(self._webhooks_seen)}):
            self._webhooks_seen = webhook["number"]
            payment_id = webhook["body"]["data"]["payment_id"]
            if webhook["verified"]:
                self._webhook_ids.setdefault(payment_id, set()).add(webhook["headers"]["webhook-id"])
            received_at = datetime.fromisoformat(webhook["received_at"]).timestamp()
            self._last_webhook_at = max(self._last_webhook_at, received_at)
        return set(self._webhook_ids)

    def _has_open(self) -> bool:
        for status in ("pending", "processing"):
            page = self._get(self._payments_url, {"status": status, "created_from": self._since, "limit": "1"})
            if page["data"]:
                return True
        return False

    def judge(self, ids: set[str]) -> Verdict:
        """Return the faults of these payments now."""
        statuses = self._statuses(ids)
        verdict = Verdict(statuses=Counter(statuses.values()), last_webhook_at=self._last_webhook_at)
        verdict.not_found = sorted(ids - statuses.keys())
        verdict.not_settled = sorted(id_ for id_, status in statuses.items() if status not in FINAL)
        if self._gateway_url is not None:
            charges = self._charges()
            succeeded = {id_ for id_, status in statuses.items() if status == "succeeded"}
            verdict.not_charged = sorted(id_ for id_ in succeeded if charges[id_] == 0)
            verdict.charged_twice = sorted(id_ for id_ in ids if charges[id_] > 1)
        if self._sink_url is not None:
            verdict.without_webhook = sorted(ids - self._webhook_ids.keys())
            verdict.delivered_twice = sorted(id_ for id_ in ids if len(self._webhook_ids.get(id_, ())) > 1)
        return verdict

    def _statuses(self, ids: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        page: dict[str, Any] = {"next_cursor": None}
        while True:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self._get(self._payments_url, {"created_from": self._since, "limit": str(PAGE_SIZE), **cursor})
            found.update(
                {payment["payment_id"]: payment["status"] for payment in page["data"] if payment["payment_id"] in ids}
            )
            if not page["next_cursor"]:
                return found

    def _charges(self) -> Counter[str]:
        """Return how often the gateway has charged each payment, by its own log."""
        charged: Counter[str] = Counter()
        day, today = self._started_at.date(), datetime.now(UTC).date()
        while day <= today:
            records = self._get(f"{self._gateway_url}/statement", {"date": day.isoformat()})
            charged.update(
                record["reference"]
                for record in records
                if record["kind"] == "charge" and record["status"] == "succeeded"
            )
            day += timedelta(days=1)
        return charged

    def _get(self, url: str, parameters: dict[str, str]) -> Any:
        """Return the JSON at this URL. Retry while the stack is busy."""
        while True:
            answer = self._client.get(url, params=parameters, headers=self._headers)
            if answer.status_code not in {429, 503}:
                return answer.raise_for_status().json()
            time.sleep(float(answer.headers.get("retry-after", "1")))
