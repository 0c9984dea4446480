"""Logins of PostgreSQL and RabbitMQ whose passwords tests change, and the secrets that hold them."""

from __future__ import annotations

import itertools
import json
import secrets
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from local.servers import postgres
from local.testkit.servers import Postgres, Vhost

_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Secret:
    """A secret of Secrets Manager that holds a login."""

    client: Any
    arn: str

    @classmethod
    def create(cls, client: Any, name: str) -> Secret:
        return cls(client, str(client.create_secret(Name=f"{name}-{uuid4()}", SecretString="{}")["ARN"]))

    def put(self, login: dict[str, str], *, stage: str = "AWSCURRENT") -> str:
        """Store the login in a new version at that stage and return the version's id."""
        token = str(uuid4())
        self.client.put_secret_value(
            SecretId=self.arn, ClientRequestToken=token, SecretString=json.dumps(login), VersionStages=[stage]
        )
        return token

    def login(self, stage: str = "AWSCURRENT") -> dict[str, str]:
        """Return the login at that stage."""
        value = self.client.get_secret_value(SecretId=self.arn, VersionStage=stage)["SecretString"]
        login: dict[str, str] = json.loads(value)
        return login

    def begin_rotation(self) -> str:
        """Create an empty version at AWSPENDING as RotateSecret does, and return its id."""
        # The fake leaves AWSPENDING on the current version. Secrets Manager removes it.
        pending = self.version_at("AWSPENDING")
        if pending is not None:
            self.client.update_secret_version_stage(
                SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=pending
            )
        token = str(uuid4())
        self.client.rotate_secret(
            SecretId=self.arn,
            ClientRequestToken=token,
            RotationLambdaARN=_rotation_function(self.client.meta.region_name),
            RotationRules={"AutomaticallyAfterDays": 30},
        )
        return token

    def version_at(self, stage: str) -> str | None:
        """Return the id of the version at the stage."""
        stages = self.client.describe_secret(SecretId=self.arn).get("VersionIdsToStages", {})
        return next((version for version, its in stages.items() if stage in its), None)


def _rotation_function(region: str) -> str:
    """The ARN of a function that does nothing, for the fake to call when it rotates."""
    import boto3

    functions = boto3.client("lambda", region_name=region)
    try:
        return str(functions.get_function(FunctionName="rotate")["Configuration"]["FunctionArn"])
    except functions.exceptions.ResourceNotFoundException:
        role = boto3.client("iam", region_name=region).create_role(RoleName="rotate", AssumeRolePolicyDocument="{}")
        function = functions.create_function(
            FunctionName="rotate",
            Runtime="python3.13",
            Handler="rotate.handler",
            Role=role["Role"]["Arn"],
            Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        )
        return str(function["FunctionArn"])


@dataclass(slots=True)
class DatabaseLogin:
    """A role that owns a database, and the secret of its login."""

    server: Postgres
    url: str
    secret: Secret
    role: str = field(default_factory=lambda: f"role_{next(_NUMBERS)}")

    @classmethod
    def create(cls, server: Postgres, url: str, secret: Secret) -> DatabaseLogin:
        login = cls(server, url, secret)
        as_superuser(login.server, f"CREATE ROLE {login.role} LOGIN")
        as_superuser(login.server, f"ALTER DATABASE {urlsplit(url).path.lstrip('/')} OWNER TO {login.role}")
        login.set_password("first")
        secret.put({"username": login.role, "password": "first"})
        return login

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables for the functions."""
        parts = urlsplit(self.url)
        return {
            "DATABASE_HOST": parts.hostname or "",
            "DATABASE_PORT": str(parts.port),
            "DATABASE_NAME": parts.path.lstrip("/"),
            "DATABASE_SECRET_ID": self.secret.arn,
            "DATABASE_TLS": "disable",
        }

    def set_password(self, password: str) -> None:
        """Change the password on the server only."""
        as_superuser(self.server, f"ALTER ROLE {self.role} PASSWORD '{password}'")

    def end_connections(self) -> None:
        """End every session of the role."""
        as_superuser(
            self.server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = :r", r=self.role
        )

    def remove(self) -> None:
        """Drop the role, after its database has a new owner."""
        as_superuser(self.server, f"ALTER DATABASE {urlsplit(self.url).path.lstrip('/')} OWNER TO {postgres.ROLE}")
        as_superuser(self.server, f"DROP OWNED BY {self.role}", database=urlsplit(self.url).path.lstrip("/"))
        as_superuser(self.server, f"DROP ROLE {self.role}")


@dataclass(slots=True)
class BrokerLogin:
    """Two users of the broker with every right in one virtual host, and the secret of the login in use."""

    vhost: Vhost
    secret: Secret
    user: str

    @classmethod
    def create(cls, vhost: Vhost, secret: Secret) -> BrokerLogin:
        # Named for the virtual host, so that both are removed from a broker that outlives the tests.
        login = cls(vhost, secret, f"user-{next(_NUMBERS)}-{vhost.name}")
        for user in login.users:
            login.manage("PUT", f"users/{user}", {"password": "first", "tags": ""})
            login.manage("PUT", f"permissions/{quote(vhost.name, safe='')}/{user}", _ALL_RIGHTS)
        secret.put({"username": login.user, "password": "first"})
        return login

    @property
    def management_url(self) -> str:
        """The management API, without a login."""
        return f"http://{urlsplit(self.vhost.management_url).netloc.rpartition('@')[2]}"

    def state(self) -> list[Any]:
        """Return both users as the broker has them, without passwords."""
        kinds = ("", "/permissions", "/topic-permissions")
        found = [self.manage("GET", f"users/{user}{kind}") for user in self.users for kind in kinds]
        return [_without_passwords(user) for user in found]

    @property
    def users(self) -> tuple[str, str]:
        """The user in the secret at first, and its twin."""
        return self.user, f"{self.user}-b"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables for the functions."""
        return {
            "BROKER_URL": f"amqp://{urlsplit(self.vhost.amqp_url).netloc.rpartition('@')[2]}",
            "BROKER_VIRTUAL_HOST": self.vhost.name,
            "BROKER_SECRET_ID": self.secret.arn,
        }

    def set_password(self, password: str) -> None:
        """Change the password on the broker only."""
        self.manage("PUT", f"users/{self.user}", {"password": password, "tags": ""})

    def manage(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """Call the management API as the broker's administrator."""
        answer = httpx.request(
            method, f"{self.vhost.management_url}/api/{path}", json=body, trust_env=False, timeout=30
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _without_passwords(found: Any) -> Any:
    return {name: one for name, one in found.items() if "password" not in name} if isinstance(found, dict) else found


def as_superuser(server: Postgres, sql: str, database: str = "postgres", **parameters: str) -> list[Any]:
    """Run the statement as the server's superuser."""
    port = server.settings.postgres_port
    url = f"postgresql://{postgres.SUPERUSER}:{postgres.PASSWORD}@127.0.0.1:{port}/{database}"
    with closing(postgres.connect(url)) as connection:
        rows: list[Any] = connection.run(sql, **parameters) or []
    return rows


def server_log(server: Postgres) -> str:
    """Return the server's log."""
    return (server.settings.state_dir / "logs/postgres.log").read_text(encoding="utf-8", errors="replace")


_ALL_RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}


def password() -> str:
    """Return a password that needs quoting everywhere."""
    return f"a'b\"c:d/e@f%{secrets.token_hex(4)}"
