"""Every setting of the functions, in one table.

The rest of `wiring` takes its values from here, and nothing else in the product reads the environment. The template,
`docs/operators/settings.md` and the functions are held to this table by `tests/architecture/test_settings_agree.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar, overload

from paybridge.core.errors import SettingsInvalid
from paybridge.wiring.setting_kinds import (
    BROKER,
    COUNT,
    DAYS,
    MAIL_ADDRESS,
    MERCHANT,
    MONTHS,
    NETWORKS,
    REVIEW_DECISION,
    ROOT_PATH,
    SECONDS,
    SECONDS_LIST,
    SERVICE,
    SMS_SENDER_ID,
    SWITCH,
    TEXT,
    TLS_MODE,
    URL,
    VALKEY,
    WEBHOOK_FAST_SECONDS,
    WEBHOOK_SECONDS,
    SettingKind,
)

Value = TypeVar("Value")


class Setting(Generic[Value]):
    """One row of the table. Read it as an attribute of `Settings`; without a default the variable must be set."""

    name: str

    def __init__(
        self, kind: SettingKind[Value], default: str | None, unit: str, readers: frozenset[str], meaning: str
    ) -> None:
        self.kind = kind
        self.default = default
        self.unit = unit
        self.readers = readers
        self.meaning = meaning

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, settings: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, settings: Settings, owner: type[Any]) -> Value: ...
    def __get__(self, settings: Settings | None, owner: type[Any]) -> Self | Value:
        return self if settings is None else settings.value(self)

    def parse(self, text: str | None) -> Value:
        """Return the value of a variable with this text, None if it is not set. Raises SettingsInvalid."""
        if text is None or (not text and not self.kind.takes_empty):
            text = self.default
        if text is None:
            raise SettingsInvalid(f"The environment variable {self.name} is not set.")
        try:
            return self.kind.parse(text)
        except ValueError as error:
            raise SettingsInvalid(f"{self.name} must be {self.kind.noun}, not {_without_login(text)!r}.") from error


def _without_login(text: str) -> str:
    """Return the text of a setting as a log may show it."""
    return re.sub(r"://.*@", "://…@", text)


# Who reads a setting, by folder in `functions/`.
EVERY = frozenset({"every function"})
DATABASE = frozenset(
    {
        "api",
        "archive",
        "bridge",
        "consumer",
        "dead_letters",
        "intake",
        "jobs",
        "ledger",
        "long_jobs",
        "migrate",
        "notifier",
        "operate",
        "relay",
        "rotate",
        "webhooks",
    }
)
BROKER_USERS = frozenset(
    {
        "bridge",
        "consumer",
        "intake",
        "jobs",
        "ledger",
        "notifier",
        "operate",
        "relay",
        "rotate",
        "webhooks",
    }
)

# What asks the gateways: for payments, and for their statements.
GATEWAYS = frozenset({"consumer", "long_jobs", "operate"})

# Eight retries in eight hours: a burst beyond the rate of a provider, and an outage of one, are over by then.
NOTIFICATION_RETRIES = "5,30,120,600,1800,3600,7200,14400"
# Eleven retries in a day: an outage is over by then, and so is a right that was missing.
BRIDGE_RETRIES = "1,5,30,120,600,1800,3600,7200,14400,28800,28800"
WEBHOOK_RETRIES = "5,300,1800,7200,18000,36000,86400"


def by(*functions: str) -> frozenset[str]:
    """Return the readers of a setting."""
    return frozenset(functions)


class Settings:
    """The settings of one environment. Reading a value raises SettingsInvalid, which names the variable."""

    ENVIRONMENT_NAME = Setting(
        TEXT,
        None,
        "",
        by(
            "api",
            "bridge",
            "consumer",
            "intake",
            "jobs",
            "long_jobs",
            "notifier",
            "relay",
            "webhooks",
        ),
        "Name of the deployment, a dimension of each metric.",
    )
    POWERTOOLS_SERVICE_NAME = Setting(
        TEXT, "paybridge", "", EVERY, "Name of the function, in its log and its database session."
    )
    POWERTOOLS_LOG_LEVEL = Setting(TEXT, "INFO", "", EVERY, "Least severe level that is logged. Powertools reads it.")

    DATABASE_HOST = Setting(TEXT, None, "", DATABASE, "Host of PostgreSQL or of its proxy.")
    DATABASE_PORT = Setting(COUNT, "5432", "", DATABASE, "Port of PostgreSQL.")
    DATABASE_NAME = Setting(TEXT, "paybridge", "", DATABASE, "Name of the database.")
    DATABASE_SECRET_ID = Setting(TEXT, None, "", DATABASE, "Secret that holds the functions' login to the database.")
    DATABASE_ADMIN_SECRET_ID = Setting(
        TEXT, "", "", by("migrate"), "Secret of the administrator, who creates the functions' role."
    )
    DATABASE_TLS = Setting(TLS_MODE, "verify-full", "", DATABASE, "Whether connections to the database are encrypted.")
    DATABASE_TLS_CA_FILE = Setting(
        TEXT, "", "", DATABASE, "Certificate authorities in PEM. Required unless DATABASE_TLS is disable."
    )

    DATABASE_SERVICE = Setting(
        SERVICE, "", "", DATABASE - by("rotate"), "Service whose rights the function has in the database. Empty: all."
    )

    BROKER_URL = Setting(BROKER, None, "", BROKER_USERS | by("api"), "AMQP URL of RabbitMQ, without a login.")
    BROKER_VIRTUAL_HOST = Setting(TEXT, "/", "", BROKER_USERS, "Virtual host of the queues.")
    BROKER_SECRET_ID = Setting(TEXT, None, "", BROKER_USERS, "Secret that holds the functions' login to the broker.")
    BROKER_MANAGEMENT_URL = Setting(URL, None, "", by("rotate"), "URL of RabbitMQ's management API.")
    BROKER_ADMIN_SECRET_ID = Setting(
        TEXT, None, "", by("rotate"), "Secret of the administrator, who changes passwords."
    )

    GATEWAY_URL = Setting(URL, None, "", GATEWAYS, "Base URL of the payment gateway.")
    GATEWAY_TIMEOUT_SECONDS = Setting(SECONDS, "6", "s", GATEWAYS, "Time limit of a gateway call.")
    GATEWAY_RETRY_DELAYS_SECONDS = Setting(
        SECONDS_LIST, "2,10,60,300", "s", by("consumer"), "Waits between the attempts at one operation."
    )
    GATEWAY_PENDING_DELAYS_SECONDS = Setting(
        SECONDS_LIST,
        "2,5,15,60,300,900,3600,21600,86400",
        "s",
        by("consumer"),
        "Waits between questions about an operation that the gateway has not decided. The last one repeats.",
    )
    LATE_CHARGE_AGES_SECONDS = Setting(
        SECONDS_LIST,
        "60,600,3600,21600,86400,259200,604800",
        "s",
        by("consumer"),
        "Ages of a given-up charge or refund at which the gateway is asked whether it was made after all.",
    )
    REFUND_CHECK_AGES_SECONDS = Setting(
        SECONDS_LIST,
        "3600,86400,259200,604800,2592000",
        "s",
        by("consumer"),
        "Ages of a successful refund at which the gateway is asked whether it still stands.",
    )
    GATEWAY_NOTICES_SECRET_ID = Setting(
        TEXT,
        "",
        "",
        by("api"),
        "Secret with which the gateway `default` signs its notices: `whsec_` and base64, several while it rotates.",
    )
    AUTHORIZATION_SECONDS = Setting(
        SECONDS, "604800", "s", by("consumer"), "Time in which authorized money can be captured."
    )
    STRIPE_URL = Setting(URL, "https://api.stripe.com", "", GATEWAYS, "Base URL of Stripe's API.")
    STRIPE_SECRET_ID = Setting(
        TEXT,
        "",
        "",
        GATEWAYS | by("api"),
        "Secret of the gateway `stripe`: JSON with `api_key` and `webhook_secret`. Empty: there is no such gateway.",
    )
    CIRCUIT_FAILURE_THRESHOLD = Setting(
        COUNT, "20", "failures", by("consumer"), "Failures in a row that open the circuit."
    )
    CIRCUIT_COOLDOWN_SECONDS = Setting(
        SECONDS, "30", "s", by("consumer"), "Time until an open circuit lets a trial call through."
    )
    JWT_ISSUER = Setting(
        TEXT, "", "", by("api"), "Issuer of the tokens in `Authorization: Bearer`. Empty: tokens are refused."
    )
    JWT_AUDIENCE = Setting(TEXT, "paybridge", "", by("api"), "Audience that tokens must be for.")
    JWT_JWKS_URL = Setting(TEXT, "", "", by("api"), "URL of the issuer's key set. Empty: the keys are in a secret.")
    JWT_KEYS_SECRET_ID = Setting(
        TEXT, "", "", by("api"), "Secret with the keys of tokens, as docs/operators/access.md describes it."
    )
    VALKEY_URL = Setting(
        VALKEY, "", "", by("api"), "URL of a Valkey that holds the buckets of rate limits. Empty: the database does."
    )
    VALKEY_SECRET_ID = Setting(
        TEXT, "", "", by("api"), "Secret that holds the login to that Valkey. Empty where it demands none."
    )
    RECONCILIATION_GRACE_SECONDS = Setting(
        SECONDS,
        "900",
        "s",
        by("api", "long_jobs", "operate"),
        "What happens within so long of midnight may be on a gateway's statement of either day.",
    )
    RECONCILIATION_LATE_SECONDS = Setting(
        SECONDS,
        "14400",
        "s",
        by("api", "long_jobs", "operate"),
        "Time after which an operation without an outcome is a break of the type `late`.",
    )
    PAYMENT_SHARDS = Setting(
        COUNT, "1", "queues", by("consumer", "jobs"), "Shards of the queue payments.new. 1 is the queue itself."
    )

    WEBHOOK_RETRY_DELAYS_SECONDS = Setting(
        SECONDS_LIST, WEBHOOK_RETRIES, "s", by("webhooks"), "Waits between the attempts of one delivery."
    )
    WEBHOOK_TIMEOUT_SECONDS = Setting(
        WEBHOOK_SECONDS, "15", "s", by("webhooks"), "Time limit of an attempt in the slow lane."
    )
    WEBHOOK_FAST_TIMEOUT_SECONDS = Setting(
        WEBHOOK_FAST_SECONDS,
        "6",
        "s",
        by("webhooks"),
        "Time limit of an attempt in the fast lane. A receiver that takes more than a third of it is slow.",
    )
    WEBHOOK_LOCAL_NETWORKS = Setting(
        NETWORKS, "", "", by("api", "intake", "webhooks"), "Private networks that webhooks may go to, by plain HTTP."
    )
    INTAKE_DEMO_MERCHANT_ID = Setting(
        MERCHANT,
        "",
        "",
        by("intake"),
        "Merchant of messages that name none, which may then ask for simulated failures. Empty, except offline: both "
        "are refused.",
    )

    NOTIFICATION_SENDER = Setting(
        MAIL_ADDRESS,
        "",
        "",
        by("api", "long_jobs", "notifier", "operate"),
        "Address that e-mails come from, verified at Amazon SES. Empty: no e-mail.",
    )
    NOTIFICATION_SMS = Setting(
        SWITCH, "off", "", by("api", "long_jobs", "notifier", "operate"), "Whether SMS are sent: on or off."
    )
    NOTIFICATION_SMS_SENDER_ID = Setting(
        SMS_SENDER_ID, "", "", by("notifier"), "Sender that phones show, where a country allows it."
    )
    NOTIFICATION_RETRY_DELAYS_SECONDS = Setting(
        SECONDS_LIST, NOTIFICATION_RETRIES, "s", by("notifier"), "Waits between the attempts of one e-mail or SMS."
    )

    EVENT_BUS = Setting(TEXT, None, "", by("bridge"), "EventBridge bus that every event is sent to.")
    BRIDGE_RETRY_DELAYS_SECONDS = Setting(
        SECONDS_LIST, BRIDGE_RETRIES, "s", by("bridge"), "Waits between the attempts to send one event to the bus."
    )

    RELAY_BATCH_ROWS = Setting(COUNT, "500", "rows", by("relay"), "Largest batch that the relay claims.")
    RELAY_IDLE_POLL_SECONDS_MAX = Setting(
        SECONDS, "2", "s", by("relay"), "Longest wait between two looks into an empty outbox."
    )

    STUCK_AFTER_SECONDS = Setting(
        SECONDS, "300", "s", by("jobs"), "Time after which an open payment or operation counts as stalled."
    )
    REVIEW_EXPIRY_SECONDS = Setting(
        SECONDS, "86400", "s", by("consumer"), "Time for which a payment in review waits for an answer."
    )
    REVIEW_EXPIRY_DECISION = Setting(
        REVIEW_DECISION, "reject", "", by("jobs"), "Answer to a review that expires: reject or approve."
    )
    ARCHIVE_BUCKET = Setting(
        TEXT, "", "", by("archive"), "Bucket of S3 that old months are moved to. Empty: no month is archived."
    )
    ARCHIVE_AFTER_MONTHS = Setting(
        MONTHS, "13", "months", by("archive"), "Whole months that stay in the database, at least 2. 0: all stay."
    )
    ARCHIVE_DROP_AFTER_DAYS = Setting(
        DAYS, "7", "days", by("archive"), "Time for which a table that was detached is kept before it is dropped."
    )
    API_WAITS_MAX = Setting(
        COUNT, "20", "requests", by("api"), "Requests that may wait for an outcome at the same time."
    )
    API_ROOT_PATH = Setting(
        ROOT_PATH, "", "", by("api"), "Path of the custom domain or stage under which clients reach the API."
    )
    RELEASE = Setting(TEXT, "", "", by("api"), "Digest of the deployed code and configuration, which `/health` shows.")
    API_VERSION_ARN = Setting(TEXT, None, "", by("preflight"), "ARN of the API version whose readiness is checked.")

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """Take the variables of the process unless others are given. Nothing is checked until it is read."""
        self._variables = os.environ if variables is None else variables
        self._values: dict[str, Any] = {}

    def value(self, setting: Setting[Value]) -> Value:
        """Return the value of a setting, parsed on first use."""
        if setting.name not in self._values:
            self._values[setting.name] = setting.parse(self._variables.get(setting.name))
        value: Value = self._values[setting.name]
        return value

    def ensure_valid(self, function: str) -> None:
        """Read every setting of the function. Raises SettingsInvalid for the first that is missing or malformed."""
        for setting in TABLE:
            if function in setting.readers:
                self.value(setting)


TABLE: tuple[Setting[Any], ...] = tuple(row for row in vars(Settings).values() if isinstance(row, Setting))


def name_process(name: str) -> None:
    """Set the name of this process in its log and its database session, unless POWERTOOLS_SERVICE_NAME is set."""
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", name)
