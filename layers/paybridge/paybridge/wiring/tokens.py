"""The tokens' part of the composition root. The API loads it with the first token."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.access.domain.tokens import TokenPolicy
from paybridge.access.tokens import TokenVerifier, VerificationKeys, read_static_keys
from paybridge.core.errors import SettingsInvalid
from paybridge.secrets.secrets_manager import SecretsManager


@cache
def token_verifier() -> TokenVerifier:
    """Return what verifies tokens of the issuer in the settings. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return TokenVerifier(TokenPolicy(settings.JWT_ISSUER, settings.JWT_AUDIENCE), _keys())


def _keys() -> VerificationKeys:
    settings = wiring.environment()
    if settings.JWT_JWKS_URL:
        # Only this needs an HTTP client.
        from paybridge.access.http import JwksKeys

        return JwksKeys(settings.JWT_JWKS_URL)
    if not settings.JWT_KEYS_SECRET_ID:
        raise SettingsInvalid("JWT_ISSUER needs JWT_JWKS_URL or JWT_KEYS_SECRET_ID.")
    return read_static_keys(SecretsManager().read_text(settings.JWT_KEYS_SECRET_ID))
