"""The values that the offline stack gives the template's parameters."""

from __future__ import annotations

from local.settings import LocalSettings
from local.stack import seed, topology

# Where the offline stack differs from the template's defaults. Delays are short because a person waits.
PARAMETERS = {
    "EnvironmentName": "local",
    "DatabaseTls": "disable",
    "GatewayRetryDelaysSeconds": "1,2",
    "GatewayPendingDelaysSeconds": "1,2,5,10",
    "LateChargeAgesSeconds": "10,60,600,3600",
    "CircuitCooldownSeconds": "5",
    "NotificationSender": seed.NOTIFICATION_SENDER,
    "NotificationIdentity": seed.NOTIFICATION_SENDER,
    "NotificationSms": "on",
    "NotificationRetryDelaysSeconds": "1,2,4",
    "WebhookLocalNetworks": "127.0.0.0/8,::1/128",
    "IntakeDemoMerchantId": str(seed.DEMO_MERCHANT_ID),
    "StuckAfterSeconds": "60",
    "ArchiveBucket": seed.ARCHIVE_BUCKET,
    "JwtIssuer": seed.JWT_ISSUER,
    "JwtAudience": seed.JWT_AUDIENCE,
    "JwtKeysSecretId": seed.SecretIds().jwt_keys,
}


def parameters_of(settings: LocalSettings, virtual_host: str) -> dict[str, str]:
    """Return the values of the template's parameters for a stack with these settings."""
    shards = settings.payment_shards or topology.payment_shards()
    networks = PARAMETERS["WebhookLocalNetworks"]
    if settings.container_host:
        networks += f",{settings.container_host}/32"
    own = {
        "PaymentShards": str(shards),
        "BrokerVirtualHost": virtual_host,
        "WebhookLocalNetworks": networks,
        "WebhookRetryDelaysSeconds": settings.webhook_retry_delays_seconds,
    }
    if settings.stripe_api_key:
        own |= {"StripeUrl": settings.stripe_url, "StripeSecretId": seed.SecretIds().stripe}
    return {**PARAMETERS, **own}
