"""`paybridge token`: tokens that the API of the local stack takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from local.commands import operator, tokens
from local.stack import seed
from paybridge import cli, wiring
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.domain.tokens import LEEWAY_SECONDS, TokenPolicy, TokenRefused
from paybridge.access.tokens import TokenVerifier, read_static_keys
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

Output = pytest.CaptureFixture[str]
KEYS = json.dumps({"keys": [{"kid": seed.JWT_KEY_ID, "alg": "HS256", "secret": seed.JWT_SECRET}]})
VERIFIER = TokenVerifier(TokenPolicy(seed.JWT_ISSUER, seed.JWT_AUDIENCE), read_static_keys(KEYS))


@pytest.fixture
def database(database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        yield database


def run(capsys: Output, *arguments: str) -> str:
    """Run the command as `paybridge` does on the local stack, and return what it prints."""
    assert cli.main(["token", *arguments], add_commands=operator.add_local_commands) == 0
    return capsys.readouterr().out.strip()


def caller(token: str, seconds: float = 0) -> Principal:
    """The caller that the API takes the token for, so many seconds from now."""
    return VERIFIER.verify(token, datetime.now(UTC) + timedelta(seconds=seconds))


class TestToken:
    def test_is_the_demo_merchants(self, database: Database, capsys: Output) -> None:
        principal = caller(run(capsys))
        assert principal == Principal(Role.MERCHANT, seed.demo_merchant_id(database))
        assert principal.subject == "paybridge-token"

    @pytest.mark.parametrize("role", [role for role in Role if role is not Role.MERCHANT])
    def test_is_of_any_role(self, database: Database, capsys: Output, role: Role) -> None:
        assert caller(run(capsys, "--role", role, "--subject", "ann")) == Principal(role, None)

    def test_is_of_any_merchant_and_ends_when_it_has_to(self, database: Database, capsys: Output) -> None:
        merchant_id = UUID(int=7)
        token = run(capsys, "--merchant", str(merchant_id), "--valid-for", "15m")
        assert caller(token, 890 + LEEWAY_SECONDS).merchant_id == merchant_id
        with pytest.raises(TokenRefused, match="expired"):
            caller(token, 901 + LEEWAY_SECONDS)

    def test_is_shown_with_its_claims_to_programs(self, database: Database, capsys: Output) -> None:
        shown = json.loads(run(capsys, "--role", "admin", "--json"))
        assert caller(shown["token"]).role is Role.ADMIN
        assert shown["claims"]["exp"] - shown["claims"]["nbf"] == tokens.VALID_FOR.total_seconds()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--role", "admin", "--merchant", str(UUID(int=7))], "no merchant"),
            (["--subject", ""], "a subject has"),
            (["--valid-for", "long"], "is not a duration"),
        ],
    )
    def test_explains_what_it_refuses(self, capsys: Output, arguments: list[str], reason: str) -> None:
        assert cli.main(["token", *arguments], add_commands=operator.add_local_commands) == cli.UNUSABLE
        assert reason in capsys.readouterr().err
