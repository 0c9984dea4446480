"""The functions' settings, and values that they refuse."""

from __future__ import annotations

import datetime
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from paybridge.core.errors import SettingsInvalid
from paybridge.secrets.ports import Login
from paybridge.wiring.addresses import broker_url, database_address
from paybridge.wiring.settings import TABLE, Settings

RDS = "paybridge.c1x2y3.eu-central-1.rds.amazonaws.com"


LOGIN = Login("pay", "b/r:i@dge")


def broker(url: str, **more: str) -> str:
    return broker_url(Settings({"BROKER_URL": url, **more}), LOGIN)


class TestBrokerUrl:
    def test_the_default_virtual_host_needs_no_path(self) -> None:
        assert broker("amqps://mq.example.com:5671/") == "amqps://pay:b%2Fr%3Ai%40dge@mq.example.com:5671"

    def test_the_virtual_host_has_one_source(self) -> None:
        assert broker("amqp://127.0.0.1:5672", BROKER_VIRTUAL_HOST="a/b").endswith("@127.0.0.1:5672/a%2Fb")
        with pytest.raises(SettingsInvalid, match="BROKER_VIRTUAL_HOST"):
            broker("amqp://127.0.0.1:5672/other")


def authority(folder: Path, name: str) -> str:
    """Return the file of a new certificate authority with that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "authority.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(file)


def connect(host: str, ca_file: str) -> None:
    environment = {"DATABASE_HOST": host, "DATABASE_TLS_CA_FILE": ca_file}
    assert database_address(Settings(environment), LOGIN).tls is not None


class TestDatabaseTls:
    @pytest.mark.parametrize(
        "host", ["paybridge.proxy-c1x2y3.eu-central-1.rds.amazonaws.com", "db.example.com", "10.0.0.1"]
    )
    def test_public_authorities_are_enough_for_rds_proxy(self, host: str) -> None:
        connect(host, certifi.where())

    @pytest.mark.parametrize(
        "host",
        [
            RDS,
            "paybridge.cluster-c1x2y3.eu-central-1.rds.amazonaws.com",
            "paybridge.c1x2y3.rds.cn-north-1.amazonaws.com.cn",
        ],
    )
    def test_rds_itself_needs_amazons_authorities(self, host: str, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match="DATABASE_TLS_CA_FILE"):
            connect(host, certifi.where())
        connect(host, authority(tmp_path, "Amazon RDS eu-central-1 Root CA RSA2048 G1"))

    def test_a_file_without_certificates_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").touch()
        for file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
            with pytest.raises(SettingsInvalid, match=str(file)):
                connect("db.example.com", str(file))


class TestSettings:
    def test_a_missing_variable_is_named(self) -> None:
        with pytest.raises(SettingsInvalid, match="GATEWAY_URL is not set"):
            _ = Settings({}).GATEWAY_URL

    def test_an_empty_variable_is_a_missing_one(self) -> None:
        with pytest.raises(SettingsInvalid, match="GATEWAY_URL is not set"):
            _ = Settings({"GATEWAY_URL": ""}).GATEWAY_URL
        assert Settings({"DATABASE_PORT": ""}).DATABASE_PORT == 5432

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("DATABASE_PORT", "5432.5"),
            ("DATABASE_PORT", "0"),
            ("DATABASE_TLS", "require"),
            ("GATEWAY_TIMEOUT_SECONDS", "soon"),
            ("GATEWAY_TIMEOUT_SECONDS", "-1"),
            ("GATEWAY_TIMEOUT_SECONDS", "inf"),
            ("GATEWAY_RETRY_DELAYS_SECONDS", "1;2"),
            ("GATEWAY_RETRY_DELAYS_SECONDS", "1,0"),
            ("VALKEY_URL", "cache.example.com:6379"),
            ("VALKEY_URL", "http://cache.example.com:6379"),
            ("VALKEY_URL", "rediss://:6379"),
            ("VALKEY_URL", "rediss://cache.example.com:six"),
            ("WEBHOOK_LOCAL_NETWORKS", "true"),
            ("WEBHOOK_LOCAL_NETWORKS", "127.0.0.1/8"),
            ("WEBHOOK_LOCAL_NETWORKS", "127.0.0.0/33"),
        ],
    )
    def test_a_malformed_variable_is_named_with_its_value(self, name: str, text: str) -> None:
        with pytest.raises(SettingsInvalid, match=f"{name} must be .*, not '{text}'"):
            getattr(Settings({name: text}), name)

    @pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
    def test_a_valkey_is_named_by_its_url(self, scheme: str) -> None:
        url = f"{scheme}://cache.example.com:6379/0"
        assert url == Settings({"VALKEY_URL": url}).VALKEY_URL

    @pytest.mark.parametrize("login", [":hunter2@", "paybridge:hunter2@", ":hunter2/@"])
    def test_a_login_in_a_url_is_refused_and_not_repeated(self, login: str) -> None:
        with pytest.raises(SettingsInvalid, match="VALKEY_SECRET_ID") as refused:
            _ = Settings({"VALKEY_URL": f"rediss://{login}cache.example.com:6379"}).VALKEY_URL
        assert "hunter2" not in str(refused.value)

    def test_every_default_is_valid(self) -> None:
        for setting in TABLE:
            if setting.default is not None:
                setting.parse(None)

    def test_no_retry_is_an_empty_list(self) -> None:
        assert Settings({"GATEWAY_RETRY_DELAYS_SECONDS": ""}).GATEWAY_RETRY_DELAYS_SECONDS == ()
        assert Settings({}).GATEWAY_RETRY_DELAYS_SECONDS == (2, 10, 60, 300)

    @pytest.mark.parametrize(
        ("text", "networks"),
        [("", []), ("127.0.0.0/8", ["127.0.0.0/8"]), ("127.0.0.0/8,::1/128", ["127.0.0.0/8", "::1/128"])],
    )
    def test_networks_are_read(self, text: str, networks: list[str]) -> None:
        read = Settings({"WEBHOOK_LOCAL_NETWORKS": text}).WEBHOOK_LOCAL_NETWORKS
        assert [str(network) for network in read] == networks

    def test_no_network_is_local_by_default(self) -> None:
        assert Settings({}).WEBHOOK_LOCAL_NETWORKS == ()


class TestEnsureValid:
    def test_names_the_first_setting_of_the_function_that_is_missing(self) -> None:
        with pytest.raises(SettingsInvalid, match="ENVIRONMENT_NAME"):
            Settings({"DATABASE_HOST": "db"}).ensure_valid("relay")

    def test_asks_for_nothing_that_the_function_does_not_read(self) -> None:
        Settings({"API_VERSION_ARN": "arn"}).ensure_valid("preflight")

    def test_refuses_a_malformed_setting_that_only_later_work_would_read(self) -> None:
        with pytest.raises(SettingsInvalid, match="API_VERSION_ARN"):
            Settings({"API_VERSION_ARN": ""}).ensure_valid("preflight")
