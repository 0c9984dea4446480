"""JSON Web Tokens: what RFC 8725 warns of is refused."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.caller import Principal, Role
from paybridge.access.domain.tokens import LEEWAY_SECONDS, TOKEN_CHARACTERS_MAX, TokenPolicy, TokenRefused
from paybridge.access.http import FETCH_AGAIN_SECONDS_MIN, FRESH_SECONDS, SET_BYTES_MAX, JwksKeys
from paybridge.access.tokens import StaticKeys, TokenVerifier, VerificationKey, read_static_keys
from paybridge.core.errors import KeysUnavailable, SettingsInvalid

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
NOW_SECONDS = int(NOW.timestamp())
SECRET = "a-secret-of-more-than-thirty-two-bytes-for-tests"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
RSA_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
MERCHANT_ID = uuid.UUID(int=7)
CLAIMS: Mapping[str, Any] = {
    "iss": "issuer",
    "aud": "paybridge",
    "sub": "shop",
    "exp": NOW_SECONDS + 300,
    "nbf": NOW_SECONDS,
    "role": "merchant",
    "merchant_id": str(MERCHANT_ID),
}
STATIC = read_static_keys(
    json.dumps(
        {
            "keys": [
                {"kid": "hs", "alg": "HS256", "secret": SECRET},
                {"kid": "rs", "alg": "RS256", "public_key": RSA_PEM},
            ]
        }
    )
)
VERIFIER = TokenVerifier(TokenPolicy("issuer", "paybridge"), STATIC)


def token(
    claims: Mapping[str, Any] = CLAIMS,
    *,
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """A signed token with these claims; a change to ... leaves a claim out."""
    changed = {name: value for name, value in {**claims, **changes}.items() if value is not ...}
    return jwt.encode(changed, key, algorithm=algorithm, headers={"kid": "hs", **(headers or {})})


def refusal(text: str) -> str:
    """Why the token is refused."""
    with pytest.raises(TokenRefused) as refused:
        VERIFIER.verify(text, NOW)
    return str(refused.value)


def forged(header: Mapping[str, Any], claims: Mapping[str, Any] = CLAIMS, signature: bytes = b"") -> str:
    """A token whose parts are put together by hand."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    return ".".join([part(json.dumps(header).encode()), part(json.dumps(claims).encode()), part(signature)])


class TestVerify:
    def test_names_the_caller(self) -> None:
        principal = VERIFIER.verify(token(), NOW)
        assert principal == Principal(Role.MERCHANT, MERCHANT_ID)
        assert (principal.subject, principal.actor) == ("shop", "merchant token of shop")

    @pytest.mark.parametrize("role", ["support", "operator", "admin", "auditor"])
    def test_staff_has_no_merchant(self, role: str) -> None:
        assert VERIFIER.verify(token(role=role, merchant_id=...), NOW) == Principal(Role(role), None)
        assert "must not name a merchant_id" in refusal(token(role=role))

    @pytest.mark.parametrize("audience", [["paybridge"], ["other", "paybridge"]])
    def test_an_audience_among_others_is_enough(self, audience: list[str]) -> None:
        assert VERIFIER.verify(token(aud=audience), NOW).merchant_id == MERCHANT_ID

    def test_asymmetric_keys_verify_too(self) -> None:
        text = token(key=RSA, algorithm="RS256", headers={"kid": "rs"})
        assert VERIFIER.verify(text, NOW).merchant_id == MERCHANT_ID

    @pytest.mark.parametrize("type_", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
    def test_the_types_of_access_tokens_are_accepted(self, type_: str) -> None:
        assert VERIFIER.verify(token(headers={"typ": type_}), NOW).merchant_id == MERCHANT_ID


class TestTimes:
    @pytest.mark.parametrize(
        ("exp", "nbf", "is_valid"),
        [
            (NOW_SECONDS - LEEWAY_SECONDS + 1, NOW_SECONDS, True),
            (NOW_SECONDS - LEEWAY_SECONDS, NOW_SECONDS, False),
            (NOW_SECONDS + 300, NOW_SECONDS + LEEWAY_SECONDS, True),
            (NOW_SECONDS + 300, NOW_SECONDS + LEEWAY_SECONDS + 1, False),
        ],
    )
    def test_clocks_may_differ_by_the_leeway(self, exp: int, nbf: int, is_valid: bool) -> None:
        text = token(exp=exp, nbf=nbf)
        if is_valid:
            assert VERIFIER.verify(text, NOW).merchant_id == MERCHANT_ID
        else:
            assert refusal(text)

    @pytest.mark.parametrize("value", ["2026", True, None, [1], {}, 1e300])
    def test_times_that_are_no_seconds_are_refused(self, value: Any) -> None:
        assert "exp" in refusal(forge_hs(exp=value))


def forge_hs(**changes: Any) -> str:
    """A token that is signed with the right key, whatever its claims are."""
    import hmac

    claims = {**CLAIMS, **changes}
    unsigned = forged({"alg": "HS256", "typ": "JWT", "kid": "hs"}, claims).rpartition(".")[0]
    digest = hmac.digest(SECRET.encode(), unsigned.encode(), "sha256")
    return f"{unsigned}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


class TestRefusals:
    """RFC 8725, section 3."""

    @pytest.mark.parametrize("claim", ["iss", "aud", "exp", "nbf", "role", "merchant_id"])
    def test_a_claim_that_is_missing(self, claim: str) -> None:
        assert refusal(token(**{claim: ...}))

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "another"},
            {"aud": "another"},
            {"aud": ["another"]},
            {"role": "king"},
            {"role": "MERCHANT"},
            {"merchant_id": "42"},
            {"sub": "x" * 256},
            {"sub": "line\nbreak"},
        ],
    )
    def test_a_claim_that_does_not_fit(self, changes: dict[str, Any]) -> None:
        assert refusal(token(**changes))

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
    def test_the_algorithm_none(self, algorithm: str) -> None:
        assert refusal(forged({"alg": algorithm, "typ": "JWT", "kid": "hs"}))

    def test_a_public_key_as_a_symmetric_secret(self) -> None:
        import hmac

        unsigned = forged({"alg": "HS256", "typ": "JWT", "kid": "rs"}).rpartition(".")[0]
        digest = hmac.digest(RSA_PEM.encode(), unsigned.encode(), "sha256")
        text = f"{unsigned}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
        assert "another algorithm" in refusal(text)

    def test_the_key_id_of_another_algorithm(self) -> None:
        assert "another algorithm" in refusal(token(key=RSA, algorithm="RS256", headers={"kid": "hs"}))
        assert "another algorithm" in refusal(token(headers={"kid": "rs"}))
        assert "another algorithm" in refusal(token(key=SECRET * 2, algorithm="HS512"))

    def test_another_key(self) -> None:
        assert "signature" in refusal(token(key="another-secret-of-more-than-thirty-two-bytes"))
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert "signature" in refusal(token(key=other, algorithm="RS256", headers={"kid": "rs"}))

    def test_a_key_that_the_token_brings_along_is_not_used(self) -> None:
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(other.public_key()))
        for headers in ({"jwk": own}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/cert"}):
            text = token(key=other, algorithm="RS256", headers={"kid": "rs", **headers})
            assert "signature" in refusal(text)

    @pytest.mark.parametrize("kid", [None, "", 7, "unknown", "../hs", "hs' OR '1'='1"])
    def test_a_key_id_that_names_no_key(self, kid: Any) -> None:
        assert refusal(forged({"alg": "HS256", "typ": "JWT", "kid": kid}, signature=b"x" * 32))

    @pytest.mark.parametrize("type_", [None, "", "JOSE", "id+jwt", 7])
    def test_another_type(self, type_: Any) -> None:
        assert refusal(forged({"alg": "HS256", "typ": type_, "kid": "hs"}, signature=b"x" * 32))

    def test_an_extension_that_must_be_understood(self) -> None:
        assert "extension" in refusal(token(headers={"crit": ["b64"], "b64": False}))

    def test_a_token_that_is_too_long(self) -> None:
        assert "too long" in refusal(token(sub="x" * TOKEN_CHARACTERS_MAX))

    @pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "e30.e30.", "🙂.🙂.🙂", "null", "[" * 3000])
    def test_what_is_no_token(self, text: str) -> None:
        assert refusal(text)

    @given(st.text(max_size=200))
    def test_any_text_is_refused_and_never_a_defect(self, text: str) -> None:
        assert refusal(text)

    @pytest.mark.parametrize("more", ["=", "==", "!", "\n", " ", "%3D", "."])
    @pytest.mark.parametrize("place", [-1, 10_000])
    def test_a_signature_with_what_is_no_base64url(self, place: int, more: str) -> None:
        text = token()
        assert refusal(text[:place] + more + text[place:])

    @given(st.integers(0, 400), st.characters(codec="ascii"))
    def test_a_changed_character_is_noticed(self, position: int, character: str) -> None:
        text = token()
        changed = text[:position] + character + text[position + 1 :]
        head, _, signature = changed.rpartition(".")
        # The last character of a signature has bits that mean nothing.
        if changed != text and (head, signature[:-1]) != (text.rpartition(".")[0], text.rpartition(".")[2][:-1]):
            assert refusal(changed)

    def test_a_refusal_repeats_nothing_of_the_token(self) -> None:
        assert "4111111111111111" not in refusal(token(iss="4111111111111111"))


class TestReadStaticKeys:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"keys": [{}]}',
            '{"keys": [{"kid": "a", "alg": "none", "secret": ""}]}',
            '{"keys": [{"kid": "a", "alg": "HS256", "secret": "short"}]}',
            '{"keys": [{"kid": "a", "alg": "RS256", "secret": "x"}]}',
            json.dumps({"keys": [{"kid": "a", "alg": "HS512", "secret": SECRET}]}),
        ],
    )
    def test_what_is_no_key_is_refused_and_not_repeated(self, text: str) -> None:
        with pytest.raises(SettingsInvalid) as refused:
            read_static_keys(text)
        assert "short" not in str(refused.value)


def published(*entries: Mapping[str, Any]) -> dict[str, Any]:
    """The key set of an issuer."""
    return {"keys": [*entries]}


def jwk(key: Any, kid: str, **members: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **members}


class Issuer:
    """An issuer that answers with what it is told to, and counts."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self.answer = answer
        self.asked = 0
        self.now = 1000.0
        self.keys = JwksKeys("https://issuer.example/keys", lambda: self.now, httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.answer()


class TestJwksKeys:
    def test_tokens_of_published_keys_are_verified(self) -> None:
        issuer = Issuer(lambda: httpx.Response(200, json=published(jwk(RSA, "r"), jwk(EC, "e"))))
        verifier = TokenVerifier(TokenPolicy("issuer", "paybridge"), issuer.keys)
        for key, algorithm, kid in ((RSA, "RS256", "r"), (EC, "ES256", "e")):
            text = token(key=key, algorithm=algorithm, headers={"kid": kid})
            assert verifier.verify(text, NOW).merchant_id == MERCHANT_ID
        assert issuer.asked == 1

    def test_however_many_unknown_keys_come_one_request_is_made_in_a_minute(self) -> None:
        issuer = Issuer(lambda: httpx.Response(200, json=published(jwk(RSA, "r"))))
        for minute in range(3):
            assert all(issuer.keys.find(f"unknown-{number}") is None for number in range(1000))
            assert issuer.asked == minute + 1
            issuer.now += FETCH_AGAIN_SECONDS_MIN

    def test_a_new_key_is_found_within_a_minute(self) -> None:
        entries = [jwk(RSA, "r")]
        issuer = Issuer(lambda: httpx.Response(200, json=published(*entries)))
        assert issuer.keys.find("r")
        entries.append(jwk(EC, "e"))
        assert issuer.keys.find("e") is None
        issuer.now += FETCH_AGAIN_SECONDS_MIN
        assert issuer.keys.find("e")

    def test_a_withdrawn_key_is_forgotten(self) -> None:
        entries = [jwk(RSA, "r"), jwk(EC, "e")]
        issuer = Issuer(lambda: httpx.Response(200, json=published(*entries)))
        assert issuer.keys.find("e")
        entries.pop()
        issuer.now += FRESH_SECONDS
        assert issuer.keys.find("e") is None

    def test_while_the_issuer_fails_the_old_keys_are_used(self) -> None:
        answers = [httpx.Response(200, json=published(jwk(RSA, "r")))]
        issuer = Issuer(lambda: answers[-1])
        assert issuer.keys.find("r")
        for broken in (
            httpx.Response(500),
            httpx.Response(302, headers={"location": "https://evil.example"}),
            httpx.Response(200, text="<html>"),
            httpx.Response(200, json=[]),
            httpx.Response(200, json={"keys": 7}),
            httpx.Response(200, content=b" " * (SET_BYTES_MAX + 1)),
        ):
            answers.append(broken)
            issuer.now += FRESH_SECONDS
            assert issuer.keys.find("r")

    def test_before_the_first_answer_nothing_is_known(self) -> None:
        issuer = Issuer(lambda: httpx.Response(503))
        for _ in range(10):
            with pytest.raises(KeysUnavailable):
                issuer.keys.find("r")
        assert issuer.asked == 1

    @pytest.mark.parametrize(
        "entry",
        [
            {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "k", "alg": "HS256"},
            {**jwk(RSA, "k"), "use": "enc"},
            {**jwk(RSA, "k"), "alg": "HS256"},
            {**jwk(RSA, "k"), "alg": "none"},
            {**jwk(RSA, "k"), "n": "!"},
            {"kid": "k"},
            {**jwk(RSA, "k"), "kid": 7},
        ],
    )
    def test_keys_that_cannot_verify_are_left_out(self, entry: dict[str, Any]) -> None:
        issuer = Issuer(lambda: httpx.Response(200, json=published(entry, jwk(RSA, "r"))))
        assert issuer.keys.find("r")
        assert issuer.keys.find("k") is None


def test_static_keys_are_found_by_their_id() -> None:
    key = VerificationKey("HS256", b"x")
    assert StaticKeys({"a": key}).find("a") is key
    assert StaticKeys({"a": key}).find("b") is None
