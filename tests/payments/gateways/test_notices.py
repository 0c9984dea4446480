"""Reading the notices of the gateway `default`."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from paybridge.core.errors import SettingsInvalid
from paybridge.payments.domain.notice import Claim, NoticeMalformed, NoticeRefused
from paybridge.payments.gateways.notices import TYPE_CHARACTERS_MAX, read_standard_notice

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
OPERATION = uuid.uuid4()
PAYMENT = uuid.uuid4()


def body(type_: Any = "refund.reversed", **data: Any) -> bytes:
    return json.dumps({"type": type_, "data": data}).encode()


def signed(content: bytes, secret: str = SECRET, id_: str = "ntc_1", at: datetime = NOW) -> dict[str, str]:
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, at, content.decode()),
    }


class TestSignature:
    def test_one_secret_of_several_is_enough(self) -> None:
        content = body(operation_id=str(OPERATION))
        notice = read_standard_notice([OTHER, SECRET], signed(content), content, NOW)
        assert (notice.id, notice.operation_id) == ("ntc_1", OPERATION)

    def test_another_secret_is_refused(self) -> None:
        with pytest.raises(NoticeRefused, match="not the gateway's"):
            read_standard_notice([OTHER], signed(body()), body(), NOW)

    def test_no_secret_refuses_everything(self) -> None:
        with pytest.raises(NoticeRefused):
            read_standard_notice([], signed(body()), body(), NOW)

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_every_header_is_needed(self, name: str) -> None:
        headers = signed(body())
        del headers[name]
        with pytest.raises(NoticeRefused, match="are needed"):
            read_standard_notice([SECRET], headers, body(), NOW)

    @pytest.mark.parametrize(("name", "value"), [("webhook-id", "ntc_2"), ("webhook-timestamp", "1")])
    def test_id_and_time_are_signed_too(self, name: str, value: str) -> None:
        with pytest.raises(NoticeRefused):
            read_standard_notice([SECRET], {**signed(body()), name: value}, body(), NOW)

    def test_a_changed_body_is_refused(self) -> None:
        with pytest.raises(NoticeRefused):
            read_standard_notice([SECRET], signed(body()), body(operation_id=str(OPERATION)), NOW)

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_an_old_one_is_refused_and_one_from_the_future(self, minutes: int) -> None:
        headers = signed(body(), at=NOW + timedelta(minutes=minutes))
        with pytest.raises(NoticeRefused, match="within the last minutes"):
            read_standard_notice([SECRET], headers, body(), NOW)

    @given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
    def test_nonsense_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(NoticeRefused):
            read_standard_notice([SECRET], headers, b"{}", NOW)

    def test_a_secret_that_is_none_is_our_fault(self) -> None:
        with pytest.raises(SettingsInvalid):
            read_standard_notice(["secret"], signed(body()), body(), NOW)


class TestContent:
    @pytest.mark.parametrize(
        ("type_", "claim"),
        [
            ("charge.succeeded", Claim.DONE),
            ("refund.declined", Claim.FAILED),
            ("refund.reversed", Claim.FAILED),
            ("authorization.expired", Claim.OTHER),
            ("ping", Claim.OTHER),
        ],
    )
    def test_the_type_says_what_it_claims(self, type_: str, claim: Claim) -> None:
        content = body(type_)
        assert read_standard_notice([SECRET], signed(content), content, NOW).claim is claim

    def test_an_older_record_names_its_payment_alone(self) -> None:
        content = body(reference=str(PAYMENT))
        assert read_standard_notice([SECRET], signed(content), content, NOW).operation_id == PAYMENT

    @pytest.mark.parametrize("data", [None, 1, "text", [], {}, {"reference": "order-7"}, {"operation_id": 7}])
    def test_what_is_none_of_ours_names_no_operation(self, data: Any) -> None:
        content = json.dumps({"type": "ping", "data": data}).encode()
        assert read_standard_notice([SECRET], signed(content), content, NOW).operation_id is None

    @pytest.mark.parametrize(
        "content",
        [b"", b"[]", b"7", b"{}", b"not json", body(7), body(""), body("A b"), body("a" * (TYPE_CHARACTERS_MAX + 1))],
    )
    def test_one_that_cannot_be_read_is_malformed(self, content: bytes) -> None:
        with pytest.raises(NoticeMalformed):
            read_standard_notice([SECRET], signed(content), content, NOW)
