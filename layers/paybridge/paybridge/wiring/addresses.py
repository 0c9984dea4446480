"""Where the database and the broker are, with a login put in."""

from __future__ import annotations

import re
import ssl
from urllib.parse import quote

from paybridge.core.errors import SettingsInvalid
from paybridge.database.connecting import DatabaseAddress
from paybridge.secrets.ports import Login
from paybridge.wiring.settings import Settings

# Instances and clusters. A proxy's name has `.proxy-` in it, and a certificate that every machine trusts.
_RDS_ENDPOINT = re.compile(r"^(?!.*\.proxy-).*\.rds\.(.+\.)?amazonaws\.com")


def database_address(settings: Settings, login: Login) -> DatabaseAddress:
    """Return the address of the database with this login. Raises SettingsInvalid if its TLS files do not fit."""
    return DatabaseAddress(
        host=settings.DATABASE_HOST,
        port=settings.DATABASE_PORT,
        name=settings.DATABASE_NAME,
        user=login.username,
        password=login.password,
        tls=_tls_context(settings),
    )


def broker_url(settings: Settings, login: Login) -> str:
    """Return the broker's AMQP URL with the virtual host and this login. Keep it out of logs."""
    scheme, _, place = settings.BROKER_URL.partition("://")
    vhost = settings.BROKER_VIRTUAL_HOST
    path = "" if vhost == "/" else f"/{quote(vhost, safe='')}"
    return f"{scheme}://{quote(login.username, safe='')}:{quote(login.password, safe='')}@{place}{path}"


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.DATABASE_TLS == "disable":
        return None
    file = settings.DATABASE_TLS_CA_FILE
    if not file:
        raise SettingsInvalid("The environment variable DATABASE_TLS_CA_FILE is not set.")
    try:
        # The default context verifies the chain and the host name.
        context = ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalid(f"DATABASE_TLS_CA_FILE names {file}, which holds no certificates in PEM.") from error
    if _RDS_ENDPOINT.search(settings.DATABASE_HOST) and not _trusts_rds(context):
        raise SettingsInvalid(
            f"DATABASE_HOST is an endpoint of RDS itself, whose authorities are not in {file}: use RDS Proxy, or name "
            "Amazon's RDS bundle in DATABASE_TLS_CA_FILE (docs/developers/architecture.md, Deployment)."
        )
    return context


def _trusts_rds(context: ssl.SSLContext) -> bool:
    return any("Amazon RDS" in str(authority["subject"]) for authority in context.get_ca_certs())
