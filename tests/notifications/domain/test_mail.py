"""The bytes of an e-mail: no text adds a header, a recipient or a second message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testkit.notifications import EMAIL, NOTIFICATION, SENDER
from paybridge.notifications.domain.mail import build_mail
from paybridge.notifications.domain.texts import one_line

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Auto-Submitted",
    "X-Paybridge-Notification",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
# Text that headers could be broken with, among any other.
hostile = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                "\r\n",
                "\n",
                "\r",
                "Bcc: thief@example.com",
                "\r\n\r\n",
                ",",
                '"',
                "\\",
                "<",
                ">",
                ";",
                "(",
                ":",
                "=?",
                "?=",
                "=?utf-8?q?=0D=0ABcc:_a@b.example?=",
                "@",
                "é",
                "я",
                "\u2028",
                "\x00",
                "x" * 90,
            ]
        ),
    ),
    max_size=8,
).map("".join)


def built(**changes: str) -> bytes:
    return build_mail(replace(NOTIFICATION, **changes), SENDER, NOW)


def names(content: bytes, header: str) -> list[tuple[str, str]]:
    """Return names and addresses of a header, split before encoded words are decoded, as RFC 2047 wants it."""
    raw = message_from_bytes(content, policy=policy.compat32)[header]
    found = getaddresses([raw.replace("\r\n", "").replace("\n", "")])
    return [(decoded(name), address) for name, address in found]


def decoded(raw: str) -> str:
    unfolded = raw.replace("\r\n", "").replace("\n", "")
    return str(make_header(decode_header(unfolded)))


def subject(content: bytes) -> str:
    return decoded(message_from_bytes(content, policy=policy.compat32)["Subject"])


class TestBuildMail:
    def test_it_says_who_writes_to_whom_about_what(self) -> None:
        content = build_mail(NOTIFICATION, SENDER, NOW)
        message = message_from_bytes(content, policy=policy.default)
        assert message["From"] == f"Paybridge <{SENDER}>"
        assert message["To"] == f"Acme <{EMAIL}>"
        assert message["Subject"] == "Payment of 100.50 EUR succeeded"
        assert message["Date"].datetime == NOW
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content() == "Payment of 100.50 EUR succeeded.\r\n"

    @given(hostile, hostile, hostile)
    def test_no_text_adds_a_header_or_a_recipient(self, recipient: str, title: str, body: str) -> None:
        content = built(recipient=recipient, title=title, body=body)
        head, _, said = content.partition(b"\r\n\r\n")
        assert [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] != b" "] == HEADERS
        assert head.isascii()
        assert head.replace(b"\r\n", b"").decode().isprintable()
        for header, address in (("To", EMAIL), ("From", SENDER)):
            assert [found for _, found in names(content, header)] == [address]
            parsed = message_from_bytes(content, policy=policy.default)[header]
            assert [each.addr_spec for each in parsed.addresses] == [address]
        assert subject(content) == one_line(title, 150)
        assert all(len(line) <= 76 for line in head.split(b"\r\n"))
        assert said.replace(b"\r\n", b"").isascii()

    @pytest.mark.parametrize(
        "name",
        [
            "Acme, Inc.",
            'The "Best" <shop>',
            "Müller, Söhne & Co. KG",
            "Ромашка, ООО",
            "a@b.example, c@d.example",
            "Ü" * 90 + ", x",
            "=?utf-8?q?=0D=0ABcc:_a@b.example?=",
        ],
    )
    def test_the_name_arrives_as_it_is(self, name: str) -> None:
        assert names(built(recipient=name), "To") == [(name, EMAIL)]

    def test_a_line_break_is_a_space(self) -> None:
        content = built(recipient="Acme\r\nBcc: thief@example.com", title="Hi\r\nBcc: thief@example.com")
        assert names(content, "To") == [("Acme Bcc: thief@example.com", EMAIL)]
        assert subject(content) == "Hi Bcc: thief@example.com"
        assert message_from_bytes(content)["Bcc"] is None

    def test_an_encoded_header_in_a_title_stays_text(self) -> None:
        """`email.message` decodes it, and writes the header that is in it."""
        title = "=?utf-8?q?=0D=0ABcc:_thief@example.com?="
        content = built(title=title)
        assert message_from_bytes(content)["Bcc"] is None
        assert subject(content) == title

    def test_a_text_beyond_ascii_arrives(self) -> None:
        message = message_from_bytes(built(body="Ромашка\n" * 50), policy=policy.default)
        assert message.get_content() == "Ромашка\r\n" * 50

    @pytest.mark.parametrize(
        ("contact", "written"),
        [
            ("a..b@example.com", '"a..b"@example.com'),
            (".a@example.com", '".a"@example.com'),
            ("a'b+c/d=e?f@example.com", "a'b+c/d=e?f@example.com"),
            ("`{|}~@a.example", "`{|}~@a.example"),
        ],
    )
    def test_every_address_that_a_merchant_may_have_is_written(self, contact: str, written: str) -> None:
        assert f"To: Acme <{written}>\r\n".encode() in built(contact=contact)

    @pytest.mark.parametrize(
        "contact", ["a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", "Acme <a@b.example>"]
    )
    def test_what_is_no_single_address_is_refused(self, contact: str) -> None:
        with pytest.raises(ValueError, match="not an e-mail address"):
            built(contact=contact)
