"""What the functions find when they start: SSM parameters, secrets, and merchants with API keys.

The keys are public and work on the offline stack only.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

from local.servers import aws, rabbitmq
from local.servers.postgres import connect
from local.settings import AWS_REGION, LocalSettings

if TYPE_CHECKING:
    from paybridge.database.database import Database

DEMO_API_KEY = "secret-api-key"
# Given, so that the settings of functions can name it before it is registered.
DEMO_MERCHANT_ID = UUID("0d3e3a52-7b1e-4f0e-9c3a-0d6b5f1a2e01")
DEMO_WEBHOOK_SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
# With which the simulated gateway signs its notices.
GATEWAY_NOTICES_SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLWdhdGV3YXktbm90aWNlcyE="
# With which the local issuer signs tokens (`paybridge token`).
JWT_ISSUER = "paybridge-local"
JWT_AUDIENCE = "paybridge"
JWT_KEY_ID = "local"
JWT_SECRET = "paybridge-local-jwt-secret-for-tests-only-0001"
OTHER_API_KEY = "secret-other-key"
OPERATOR_API_KEY = "secret-operator-key"
STAFF_API_KEYS = {
    "operator": OPERATOR_API_KEY,
    "support": "secret-support-key",
    "auditor": "secret-auditor-key",
    "admin": "secret-admin-key",
}
# What e-mails come from, and how the demo merchant is reached.
NOTIFICATION_SENDER = "paybridge@paybridge.example"
DEMO_EMAIL = "payments@demo.example"
DEMO_PHONE = "+4930123456"
# Refunds are few, so that a load of payments makes no load of e-mails.
DEMO_NOTIFY = ("refund.succeeded", "webhook_endpoint.disabled")
ARCHIVE_BUCKET = "paybridge-local-archive"
EVENT_BUS = "paybridge-local"
# Of the parameters that the template reads by default.
PARAMETER_PREFIX = "/paybridge/dev/"


@dataclass(frozen=True, slots=True)
class SecretIds:
    """Names or ARNs of the secrets."""

    database: str = "paybridge/local/database"
    broker: str = "paybridge/local/broker"
    broker_admin: str = "paybridge/local/broker-admin"
    gateway_notices: str = "paybridge/local/gateway-notices"
    stripe: str = "paybridge/local/stripe"
    jwt_keys: str = "paybridge/local/jwt-keys"


def write_aws(settings: LocalSettings, postgres_url: str, amqp_url: str) -> None:
    """Write the secrets and parameters that `template.yaml` names to the AWS fake.

    `amqp_url` has the login of the functions.
    """
    secrets, names = aws.client(settings, "secretsmanager"), SecretIds()
    administrator = settings.rabbitmq_management_url or rabbitmq.amqp_url_of(settings)
    arns = SecretIds(
        database=_put_secret(secrets, names.database, _credentials(postgres_url)),
        broker=_put_secret(secrets, names.broker, _credentials(amqp_url)),
        broker_admin=_put_secret(secrets, names.broker_admin, _credentials(administrator)),
        gateway_notices=_put_secret(secrets, names.gateway_notices, GATEWAY_NOTICES_SECRET),
    )
    jwt_keys = {"keys": [{"kid": JWT_KEY_ID, "alg": "HS256", "secret": JWT_SECRET}]}
    _put_secret(secrets, names.jwt_keys, json.dumps(jwt_keys))
    if settings.stripe_api_key:
        keys = {"api_key": settings.stripe_api_key, "webhook_secret": settings.stripe_webhook_secret}
        _put_secret(secrets, names.stripe, json.dumps(keys))
    ssm = aws.client(settings, "ssm")
    for name, value in parameters(settings, postgres_url, amqp_url, arns).items():
        ssm.put_parameter(Name=f"{PARAMETER_PREFIX}{name}", Value=value, Type="String", Overwrite=True)


def parameters(settings: LocalSettings, postgres_url: str, amqp_url: str, secret_ids: SecretIds) -> dict[str, str]:
    """Return the values of the SSM parameters, by their names without PARAMETER_PREFIX."""
    database = urlsplit(postgres_url)
    key = f"arn:aws:kms:{AWS_REGION}:123456789012:key/00000000-0000-4000-8000-000000000000"
    return {
        "database/host": settings.seen_by_functions(database.hostname or "127.0.0.1"),
        "database/instance-host": settings.seen_by_functions(database.hostname or "127.0.0.1"),
        "database/port": str(database.port or 5432),
        "database/name": database.path.lstrip("/"),
        "database/secret-id": secret_ids.database,
        "database/admin-secret-id": secret_ids.database,
        "broker/url": settings.seen_by_functions(_place_of(amqp_url)),
        "broker/management-url": settings.seen_by_functions(
            _place_of(settings.rabbitmq_management_url or f"http://127.0.0.1:{settings.management_port}")
        ),
        "broker/arn": f"arn:aws:mq:{AWS_REGION}:123456789012:broker:paybridge-local:b-local",
        "broker/secret-id": secret_ids.broker,
        "broker/admin-secret-id": secret_ids.broker_admin,
        "gateway/url": settings.seen_by_functions(settings.gateway_url),
        "gateway/notices-secret-id": secret_ids.gateway_notices,
        "network/subnet-ids": "subnet-local",
        "network/security-group-ids": "sg-local",
        "secrets/key-arn": key,
        "alarms/topic-arn": f"arn:aws:sns:{AWS_REGION}:123456789012:paybridge-local-alarms",
        "archive/bucket": ARCHIVE_BUCKET,
        "events/bus-name": EVENT_BUS,
    }


def verify_sender(settings: LocalSettings) -> None:
    """Let Amazon SES take e-mails from the sender. On AWS its owner confirms that."""
    aws.client(settings, "ses").verify_email_identity(EmailAddress=NOTIFICATION_SENDER)


def create_archive_and_bus(settings: LocalSettings) -> None:
    """Create the bucket and the event bus that the parameters name, unless they exist."""
    s3, events = aws.client(settings, "s3"), aws.client(settings, "events")
    if ARCHIVE_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=ARCHIVE_BUCKET, CreateBucketConfiguration={"LocationConstraint": AWS_REGION})
    if EVENT_BUS not in {bus["Name"] for bus in events.list_event_buses()["EventBuses"]}:
        events.create_event_bus(Name=EVENT_BUS)


def parameter(settings: LocalSettings, name: str) -> str:
    """Return the value of one SSM parameter in the AWS fake."""
    return str(aws.client(settings, "ssm").get_parameter(Name=name)["Parameter"]["Value"])


def migrate_and_register(postgres_url: str) -> None:
    """Migrate the schema, then register the demo merchants and the operator."""
    from paybridge.access.register import register_merchant
    from paybridge.database.connecting import DatabaseAddress
    from paybridge.database.database import Database
    from paybridge.database.migrations import HEAD, migrate
    from paybridge.database.rights import grant_rights
    from paybridge.secrets.prepare_services import prepare_services

    parts = urlsplit(postgres_url)
    address = DatabaseAddress(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        name=parts.path.lstrip("/"),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
    with closing(Database(address, "paybridge-seed")) as database:
        # Alembic takes longer to load than everything else here.
        if not _is_at(postgres_url, HEAD):
            migrate(database)
        # A server of the user's may not let us create roles. Then every function has every right.
        prepare_services(database)
        grant_rights(database)
        _give_contacts(database, demo_merchant_id(database))
        register_merchant(database, name="Other", api_key=OTHER_API_KEY, webhook_secret=DEMO_WEBHOOK_SECRET)
        for role, key in STAFF_API_KEYS.items():
            register_merchant(database, name=role.capitalize(), api_key=key, role=role)


def demo_merchant_id(database: Database) -> UUID:
    """Return the id of the demo merchant, which is registered when the stack starts."""
    from paybridge.access.register import register_merchant

    # What is registered already is found, and nothing is changed.
    merchant_id = register_merchant(
        database,
        name="Demo",
        api_key=DEMO_API_KEY,
        webhook_secret=DEMO_WEBHOOK_SECRET,
        merchant_id=DEMO_MERCHANT_ID,
    )
    assert merchant_id is not None
    return merchant_id


def _give_contacts(database: Database, merchant_id: UUID) -> None:
    """Give the demo merchant contacts, unless it was changed before."""
    from paybridge.access.change_merchant import change_merchant
    from paybridge.access.read_merchants import read_merchant
    from paybridge.core.clock import SystemClock

    merchant = read_merchant(database, merchant_id)
    if merchant is not None and merchant.updated_at == merchant.created_at:
        contacts = {"email": DEMO_EMAIL, "phone": DEMO_PHONE, "notify": DEMO_NOTIFY}
        change_merchant(database, SystemClock(), merchant_id, contacts)


def _is_at(postgres_url: str, revision: str) -> bool:
    """Return whether the schema is at this revision."""
    with closing(connect(postgres_url)) as connection:
        if connection.run("SELECT to_regclass('alembic_version')") == [[None]]:
            return False
        return bool(connection.run("SELECT version_num FROM alembic_version") == [[revision]])


def _put_secret(client: Any, name: str, text: str) -> str:
    """Create or replace a secret and return its ARN."""
    try:
        return str(client.create_secret(Name=name, SecretString=text)["ARN"])
    except client.exceptions.ResourceExistsException:
        return str(client.put_secret_value(SecretId=name, SecretString=text)["ARN"])


def _credentials(url: str) -> str:
    parts = urlsplit(url)
    return json.dumps({"username": unquote(parts.username or ""), "password": unquote(parts.password or "")})


def _place_of(url: str) -> str:
    """Return the URL without login and virtual host, which the functions read elsewhere."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
