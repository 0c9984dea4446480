"""The part of the composition root that verifies gateways' notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from paybridge import wiring
from paybridge.payments.domain.notice import GatewayNotice, NoticeRefused
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, STRIPE_GATEWAY
from paybridge.payments.gateways.notices import read_standard_notice
from paybridge.secrets.signing_secrets import SigningSecrets

ReadNotice = Callable[[Sequence[str], Mapping[str, str], bytes, datetime], GatewayNotice]


@dataclass(frozen=True, slots=True)
class NoticeReader:
    """Verifies the notices of one gateway by its signing secrets."""

    secrets: SigningSecrets
    read_notice: ReadNotice

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayNotice:
        """Return the notice in a request whose headers have lower-case names.

        Raises NoticeRefused, NoticeMalformed, SettingsInvalid and SecretUnavailable.
        """
        try:
            return self.read_notice(self.secrets.kept(), headers, body, now)
        except NoticeRefused:
            # The secret may have been replaced since it was read.
            changed = self.secrets.changed()
            if not changed:
                raise
        return self.read_notice(changed, headers, body, now)


@cache
def notice_readers() -> Mapping[str, NoticeReader]:
    """Return the readers by the names of the gateways that send notices. Reads no secret yet."""
    settings = wiring.environment()
    readers = {}
    if settings.GATEWAY_NOTICES_SECRET_ID:
        secrets = SigningSecrets(settings.GATEWAY_NOTICES_SECRET_ID)
        readers[DEFAULT_GATEWAY] = NoticeReader(secrets, read_standard_notice)
    if settings.STRIPE_SECRET_ID:
        from paybridge.payments.gateways.stripe_notices import read_stripe_notice

        secrets = SigningSecrets(settings.STRIPE_SECRET_ID, member="webhook_secret")
        readers[STRIPE_GATEWAY] = NoticeReader(secrets, read_stripe_notice)
    return readers
