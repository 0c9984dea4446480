"""What the functions read from their environment, and what they refuse to start with."""

from __future__ import annotations

import datetime
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from paybridge.wiring.settings import (
    Environment,
    SecretReader,
    SettingsInvalid,
    broker_url,
    database_address,
    webhook_settings,
)

RDS = "paybridge.c1x2y3.eu-central-1.rds.amazonaws.com"


class KnownSecret(SecretReader):
    """Holds one login, whatever it is asked for."""

    def _fetch(self, secret_id: str, stage: str) -> dict[str, str]:
        return {"username": "pay", "password": "b/r:i@dge"}


def broker(url: str, **more: str) -> str:
    return broker_url(Environment({"BROKER_URL": url, "BROKER_SECRET_ID": "s", **more}), KnownSecret())


class TestBrokerUrl:
    def test_the_default_virtual_host_needs_no_path(self) -> None:
        assert broker("amqps://mq.example.com:5671/") == "amqps://pay:b%2Fr%3Ai%40dge@mq.example.com:5671"

    def test_the_virtual_host_has_one_source(self) -> None:
        assert broker("amqp://127.0.0.1:5672", BROKER_VIRTUAL_HOST="a/b").endswith("@127.0.0.1:5672/a%2Fb")
        with pytest.raises(SettingsInvalid, match="BROKER_VIRTUAL_HOST"):
            broker("amqp://127.0.0.1:5672/other")


def authority(folder: Path, name: str) -> str:
    """The file of a certificate authority with that name."""
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
    environment = {"DATABASE_HOST": host, "DATABASE_SECRET_ID": "s", "DATABASE_TLS_CA_FILE": ca_file}
    assert database_address(Environment(environment), KnownSecret()).tls is not None


class TestDatabaseTls:
    @pytest.mark.parametrize(
        "host", ["paybridge.proxy-c1x2y3.eu-central-1.rds.amazonaws.com", "db.example.com", "10.0.0.1"]
    )
    def test_what_every_machine_trusts_is_good_for_rds_proxy(self, host: str) -> None:
        connect(host, certifi.where())

    @pytest.mark.parametrize(
        "host",
        [
            RDS,
            "paybridge.cluster-c1x2y3.eu-central-1.rds.amazonaws.com",
            "paybridge.c1x2y3.rds.cn-north-1.amazonaws.com.cn",
        ],
    )
    def test_rds_itself_needs_its_own_authorities(self, host: str, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match="DATABASE_TLS_CA_FILE"):
            connect(host, certifi.where())
        connect(host, authority(tmp_path, "Amazon RDS eu-central-1 Root CA RSA2048 G1"))

    def test_a_file_without_certificates_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").touch()
        for file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
            with pytest.raises(SettingsInvalid, match=str(file)):
                connect("db.example.com", str(file))


class TestWebhookSettings:
    @pytest.mark.parametrize(
        ("text", "networks"),
        [("", []), ("127.0.0.0/8", ["127.0.0.0/8"]), ("127.0.0.0/8,::1/128", ["127.0.0.0/8", "::1/128"])],
    )
    def test_reads_local_networks(self, text: str, networks: list[str]) -> None:
        settings = webhook_settings(Environment({"WEBHOOK_LOCAL_NETWORKS": text}))
        assert [str(network) for network in settings.local_networks] == networks

    def test_knows_no_local_network_without_the_variable(self) -> None:
        assert webhook_settings(Environment({})).local_networks == ()

    @pytest.mark.parametrize("text", ["true", "127.0.0.1/8", "127.0.0.0/33"])
    def test_names_the_variable_that_is_no_network(self, text: str) -> None:
        with pytest.raises(SettingsInvalid, match="WEBHOOK_LOCAL_NETWORKS"):
            webhook_settings(Environment({"WEBHOOK_LOCAL_NETWORKS": text}))
