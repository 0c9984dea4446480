"""A gateway as its customers see it: an append-only log of money, and every way in which an answer can go missing.

It is the world outside. It takes every request at its word: what we ask for twice under a key that it has forgotten, it
does twice, and the log shows it. What no correct client asks for is noted in `violations`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from paybridge.core.clock import Clock

# A request that was sent is carried out within this time, or never.
LATE_SECONDS_MAX = 1800.0
# A look-up may miss what is younger than this.
INDEX_LAG_SECONDS = 60.0
# So long the gateway knows an idempotency key.
KEY_SECONDS = 24 * 3600.0
AUTHORIZATION_SECONDS = 6 * 24 * 3600.0


class Treatment(StrEnum):
    """What the gateway does with a request, and what the client hears of it."""

    DO = "does it and says so"
    DO_SILENTLY = "does it, and the answer is lost"
    DO_LATER = "does it later, without an answer now"
    LOSE = "never gets it"
    DECLINE = "declines and says so"
    DECLINE_SILENTLY = "declines, and the answer is lost"
    APPROVE_A_PART = "approves a part and says so"
    APPROVE_A_PART_SILENTLY = "approves a part, and the answer is lost"
    HOLD = "will decide later and says so"
    HOLD_SILENTLY = "will decide later, and the answer is lost"
    LIMIT = "takes no more requests now"
    REFUSE = "does not accept the request"
    STALL = "says that the first request is still at work"
    BREAK = "answers in a way that breaks the client"


SILENT = frozenset(
    {
        Treatment.DO_SILENTLY,
        Treatment.DECLINE_SILENTLY,
        Treatment.APPROVE_A_PART_SILENTLY,
        Treatment.HOLD_SILENTLY,
    }
)


class LookUp(StrEnum):
    """What happens to a look-up."""

    ANSWER = "is answered"
    LOSE = "gets no answer"
    LAG = "misses what is new"
    LIMIT = "is refused for its rate"


class State(StrEnum):
    """The state of a record."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    TAKEN_BACK = "taken back"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; `key` is its idempotency key and `target` the gateway's name for what it is about."""

    operation_id: UUID
    kind: str
    payment_id: UUID
    amount_minor: int
    currency: str
    key: str
    target: str | None = None


@dataclass(slots=True)
class Record:
    """What the gateway knows of a request that it got. `amount_minor` is what it took, held or gave back."""

    id: str
    asked: Asked
    state: State
    amount_minor: int
    made_at: datetime
    decline_code: str = "card_declined"
    expires_at: datetime | None = None

    @property
    def is_partial(self) -> bool:
        """Tell whether the gateway approved less than was asked for."""
        return self.amount_minor < self.asked.amount_minor


@dataclass(frozen=True, slots=True)
class Move:
    """Money that moved, or was held or released; rows are only ever added."""

    number: int
    record_id: str
    operation_id: UUID
    payment_id: UUID
    kind: str
    amount_minor: int


class Silence(Exception):
    """The client hears nothing."""


class Limited(Exception):
    """The gateway takes no more requests now."""


class StillAtWork(Exception):
    """The gateway refuses to repeat a request."""


class Refused(Exception):
    """The gateway does not accept the request."""


class Broken(Exception):
    """The answer breaks the client in an unforeseen way."""


@dataclass(slots=True)
class GatewayModel:
    """The gateway.

    `treatments` and `look_ups` say what happens to the next calls about an operation, `usual_treatment` and
    `usual_look_up` what happens to all others. `log` is the money that moved. `late` are requests that will be carried
    out later, each with its deadline.
    """

    clock: Clock
    log: list[Move] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    late: dict[str, tuple[Asked, datetime]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    # Payments of which more was to be refunded than was left, counting what is under way.
    asked_too_much: set[UUID] = field(default_factory=set)
    treatments: dict[UUID, deque[Treatment]] = field(default_factory=lambda: defaultdict(deque))
    look_ups: dict[UUID, deque[LookUp]] = field(default_factory=lambda: defaultdict(deque))
    usual_treatment: Treatment = Treatment.DO
    usual_look_up: LookUp = LookUp.ANSWER
    _by_key: dict[str, Record] = field(default_factory=dict)
    _asked: dict[str, Asked] = field(default_factory=dict)

    # What the client calls.

    def ask(self, asked: Asked) -> Record:
        """Carry out the request, or repeat the answer to its key. Raises what the client gets instead of an answer."""
        self._check(asked)
        known = self._known(asked.key)
        treatment = self._next_treatment(asked, known)
        match treatment:
            case Treatment.LOSE:
                raise Silence
            case Treatment.LIMIT:
                raise Limited
            case Treatment.STALL:
                raise StillAtWork
            case Treatment.BREAK:
                raise Broken
            case Treatment.REFUSE:
                raise Refused
            case Treatment.DO_LATER:
                self.late[asked.key] = (asked, self.clock.now() + timedelta(seconds=LATE_SECONDS_MAX))
                raise Silence
        record = known or self._carry_out(asked, treatment, self.clock.now())
        if treatment in SILENT:
            raise Silence
        return record

    def look_up(self, operation_id: UUID) -> Record | None:
        """Return the record of the operation. Raises what the client gets instead of an answer."""
        planned = self.look_ups[operation_id]
        look_up = planned.popleft() if planned else self.usual_look_up
        if look_up is LookUp.LOSE:
            raise Silence
        if look_up is LookUp.LIMIT:
            raise Limited
        found = [
            record
            for record in self.records.values()
            if record.asked.operation_id == operation_id and record.asked.kind != "refund_reversal"
        ]
        if look_up is LookUp.LAG:
            visible_before = self.clock.now() - timedelta(seconds=INDEX_LAG_SECONDS)
            found = [record for record in found if record.made_at < visible_before]
        best_first = [State.SUCCEEDED, State.TAKEN_BACK, State.PENDING, State.DECLINED]
        return min(found, key=lambda record: best_first.index(record.state), default=None)

    # What the gateway does unprompted.

    def decide(self, record: Record, *, approve: bool) -> None:
        """Decide a pending record."""
        assert record.state is State.PENDING
        self._settle(record, approve=approve)

    def take_back(self, record: Record) -> Record:
        """Take a refund back: the money is the merchant's again. Return the record of that."""
        assert (record.asked.kind, record.state) == ("refund", State.SUCCEEDED)
        record.state = State.TAKEN_BACK
        asked = Asked(
            record.asked.operation_id,
            "refund_reversal",
            record.asked.payment_id,
            record.amount_minor,
            record.asked.currency,
            f"{record.asked.key}:reversal",
            record.id,
        )
        reversal = Record(f"gw_{len(self.records) + 1}", asked, State.SUCCEEDED, record.amount_minor, self.clock.now())
        self.records[reversal.id] = reversal
        self._move(reversal)
        return reversal

    def carry_out_late(self, *, all_of_them: bool = False) -> int:
        """Carry out the late requests whose time has come, or all; return how many there were."""
        now = self.clock.now()
        due = [key for key, (_, at) in self.late.items() if all_of_them or at <= now]
        for key in due:
            asked, at = self.late.pop(key)
            if key not in self._by_key:
                self._carry_out(asked, Treatment.DO, min(at, now))
        return len(due)

    def pending(self) -> list[Record]:
        """Return the records that are not decided."""
        return [record for record in self.records.values() if record.state is State.PENDING]

    def taken_back(self) -> list[Record]:
        """Return the refunds that were taken back."""
        return [each for each in self.records.values() if each.state is State.TAKEN_BACK]

    def refunds(self) -> list[Record]:
        """Return the refunds that were made and not taken back."""
        return [each for each in self.records.values() if each.asked.kind == "refund" and each.state is State.SUCCEEDED]

    # What the log says.

    def moved(self, payment_id: UUID, *kinds: str) -> int:
        """Return how much money moved by operations of these kinds, in minor units."""
        return sum(move.amount_minor for move in self.log if move.payment_id == payment_id and move.kind in kinds)

    def taken(self, payment_id: UUID) -> int:
        """Return what the customer has paid, before refunds."""
        return self.moved(payment_id, "charge", "capture")

    def given_back(self, payment_id: UUID) -> int:
        """Return what the customer has got back and kept."""
        return self.moved(payment_id, "refund") - self.moved(payment_id, "refund_reversal")

    def held(self, payment_id: UUID) -> int:
        """Return what is still reserved on the customer's card."""
        return sum(record.amount_minor for record in self.records.values() if self._holds(record, payment_id))

    # How it carries out.

    def _next_treatment(self, asked: Asked, known: Record | None) -> Treatment:
        planned = self.treatments[asked.operation_id]
        treatment = planned.popleft() if planned else self.usual_treatment
        if treatment is Treatment.REFUSE and (known or asked.key in self.late):
            # It refuses a request that it cannot read, and it has read this one before.
            return Treatment.STALL
        is_for_money = asked.kind in ("charge", "authorization")
        if treatment is Treatment.APPROVE_A_PART and (not is_for_money or asked.amount_minor == 1):
            return Treatment.DO
        if treatment is Treatment.APPROVE_A_PART_SILENTLY and (not is_for_money or asked.amount_minor == 1):
            return Treatment.DO_SILENTLY
        return treatment

    def _known(self, key: str) -> Record | None:
        record = self._by_key.get(key)
        is_forgotten = record is not None and self.clock.now() - record.made_at > timedelta(seconds=KEY_SECONDS)
        return None if is_forgotten else record

    def _carry_out(self, asked: Asked, treatment: Treatment, at: datetime) -> Record:
        self.late.pop(asked.key, None)
        record = Record(f"gw_{len(self.records) + 1}", asked, State.PENDING, asked.amount_minor, at)
        self.records[record.id] = record
        self._by_key[asked.key] = record
        match treatment:
            case Treatment.HOLD | Treatment.HOLD_SILENTLY:
                return record
            case Treatment.APPROVE_A_PART | Treatment.APPROVE_A_PART_SILENTLY:
                record.amount_minor = max(1, asked.amount_minor * 4 // 5)
        self._settle(record, approve=treatment not in (Treatment.DECLINE, Treatment.DECLINE_SILENTLY))
        return record

    def _settle(self, record: Record, *, approve: bool) -> None:
        code = self._objection(record) or (None if approve else "card_declined")
        record.state = State.SUCCEEDED if code is None else State.DECLINED
        record.decline_code = code or ""
        if record.state is State.SUCCEEDED:
            if record.asked.kind == "authorization":
                record.expires_at = self.clock.now() + timedelta(seconds=AUTHORIZATION_SECONDS)
            self._move(record)

    def _objection(self, record: Record) -> str | None:
        """Return why the gateway cannot do this, or None."""
        asked = record.asked
        if asked.kind in ("capture", "void"):
            hold = self._find_hold(asked)
            if hold is None:
                return "no_such_authorization"
            if self._is_captured(hold):
                return "already_captured"
            if asked.kind == "capture" and not self._is_live(hold):
                return "authorization_expired"
            if asked.kind == "capture" and record.amount_minor > hold.amount_minor:
                return "amount_too_large"
        if asked.kind == "refund":
            left = self.taken(asked.payment_id) - self.given_back(asked.payment_id)
            waiting = sum(
                each.amount_minor
                for each in self.pending()
                if each is not record and each.asked.kind == "refund" and each.asked.payment_id == asked.payment_id
            )
            if record.amount_minor > left - waiting:
                return "amount_too_large"
        return None

    def _move(self, record: Record) -> None:
        asked = record.asked
        self.log.append(
            Move(len(self.log) + 1, record.id, asked.operation_id, asked.payment_id, asked.kind, record.amount_minor)
        )

    def _find_hold(self, asked: Asked) -> Record | None:
        found = self.records.get(asked.target or "")
        return found if found is not None and found.asked.kind == "authorization" else None

    def _is_captured(self, hold: Record) -> bool:
        return self._has_succeeded("capture", hold)

    def _is_live(self, hold: Record) -> bool:
        is_expired = hold.expires_at is not None and hold.expires_at <= self.clock.now()
        return hold.state is State.SUCCEEDED and not is_expired and not self._has_succeeded("void", hold)

    def _holds(self, record: Record, payment_id: UUID) -> bool:
        is_of_payment = record.asked.kind == "authorization" and record.asked.payment_id == payment_id
        return is_of_payment and self._is_live(record) and not self._is_captured(record)

    def _has_succeeded(self, kind: str, target: Record) -> bool:
        return any(
            each.asked.kind == kind and each.asked.target == target.id and each.state is State.SUCCEEDED
            for each in self.records.values()
        )

    # What no correct client asks for.

    def _check(self, asked: Asked) -> None:
        before = self._asked.setdefault(asked.key, asked)
        if before != asked:
            self._object(asked, f"was asked for before under the same key as {before}")
        if asked.kind in ("capture", "void"):
            self._check_hold(asked)
        if asked.kind == "refund":
            self._check_refund(asked)

    def _check_hold(self, asked: Asked) -> None:
        hold = self._find_hold(asked)
        if hold is None or hold.asked.payment_id != asked.payment_id or hold.state is not State.SUCCEEDED:
            self._object(asked, "is about no authorization of its payment")
        elif asked.kind == "capture" and asked.amount_minor > hold.amount_minor:
            self._object(asked, "is for more than was authorized")
        other = {"capture": "void", "void": "capture"}[asked.kind]
        for each in self._under_way_or_done(asked.payment_id):
            if each.kind == other or (each.kind == asked.kind and each.operation_id != asked.operation_id):
                self._object(asked, f"comes beside {each.kind} {each.operation_id}, which is done or under way")

    def _check_refund(self, asked: Asked) -> None:
        target = self.records.get(asked.target or "")
        if target is None or target.asked.payment_id != asked.payment_id or target.state is not State.SUCCEEDED:
            self._object(asked, "is about no money of its payment")
        others = sum(
            each.amount_minor
            for each in self._under_way_or_done(asked.payment_id)
            if each.kind == "refund" and each.operation_id != asked.operation_id
        )
        left = self.taken(asked.payment_id) + self.moved(asked.payment_id, "refund_reversal") - others
        if asked.amount_minor > left:
            self.asked_too_much.add(asked.payment_id)

    def _under_way_or_done(self, payment_id: UUID) -> list[Asked]:
        """Return the requests about a payment that the gateway has carried out, or still may."""
        made = [each.asked for each in self.records.values() if each.state is not State.DECLINED]
        late = [asked for asked, _ in self.late.values() if asked.key not in self._by_key]
        return [asked for asked in made + late if asked.payment_id == payment_id]

    def _object(self, asked: Asked, why: str) -> None:
        self.violations.append(f"{asked.kind} {asked.operation_id} of {asked.amount_minor} {why}")
