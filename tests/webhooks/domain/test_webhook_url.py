"""Which webhook URLs are accepted by their form."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.webhooks.domain.address import LOOPBACK, IpNetwork
from paybridge.webhooks.domain.webhook_url import check_webhook_url


def code_of(url: str, local_networks: tuple[IpNetwork, ...] = ()) -> str | None:
    """Return the code of the error for a URL, or None if it is accepted."""
    try:
        check_webhook_url(url, local_networks=local_networks)
    except InvalidInput as error:
        return error.code if error.field == "webhook_url" else "another field"
    return None


class TestCheckWebhookUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com/webhook",
            "https://example.com",
            "https://example.com:8443/a%20b?x=1&y=[z]",
            "https://xn--e1afmkfd.xn--p1ai/",
            "https://XN--E1AFMKFD.xn--p1ai/",
            "https://xn--fa-hia.de/",
            "https://xn--ls8h.la/",
            "https://8.8.8.8/",
            "https://0x08080808/",
            "https://[2606:4700::1111]/",
            "HTTPS://EXAMPLE.COM/Path",
            "hTTps://Example.com:443/",
            "https://example.com:/",
            "https://10.example.com/",
            "https://internal.example.com/",
        ],
    )
    def test_absolute_https_urls_are_returned_unchanged(self, url: str) -> None:
        assert check_webhook_url(url, local_networks=()) == url

    @pytest.mark.parametrize(
        ("code", "urls"),
        {
            "webhook_scheme_invalid": [
                *("", "example.com", "//example.com", "/webhook", "ftp://example.com", "javascript:alert(1)"),
                *("https:/example.com", "https:example.com", " https://example.com"),
            ],
            "webhook_host_missing": ["https://", "https:///path", "https://:443/", "https://?x=1"],
            "webhook_host_invalid": [
                *("https://example..com/", "https://[::1/", "https://[example.com]/", "https://[]/"),
                *("https://xn--/", "https://xn--a/", "https://xn--a.example.com/", "https://XN--A/"),
                *("https://example.xn---/", "https://xn--example-/", "https://xn--99999999/", "https://xn--7sg/"),
                *("https://[::1%25]/x", "https://[::1%251]/x", "https://[fe80::1%25eth0]/x"),
                *("https://[2001:db8::1%251]/x", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://1.16777216/"),
                *("https://08.1.1.1/", "https://0x1g.1/", "https://example.123/", "https://1_0.1/", "https://%31.1/"),
                *("https://" + "a" * 64 + ".com/", "https://" + "a." * 130 + "com/"),
            ],
            "webhook_port_invalid": [
                *("https://example.com:0/", "https://example.com:70000/", "https://example.com:99999"),
                *("https://example.com:port/", "https://example.com:-1/", "https://example.com:443:443/"),
            ],
            "webhook_login_not_allowed": [
                *("https://user@example.com/", "https://user:secret@example.com/", "https://@example.com/"),
            ],
            "webhook_fragment_not_allowed": ["https://example.com/#fragment", "https://example.com#", "https://#"],
            "webhook_host_not_ascii": ["https://пример.рф/", "https://１.１.１.１/", "https://10。0。0。1/"],
            "webhook_url_not_ascii": ["https://example.com/счёт", "https://example.com?x=é"],
            "webhook_url_invalid": [
                *("https://exam ple.com/", "https://example.com/\n", "https://exa\tmple.com/"),
                *("https://example.com\\@evil.test/", "https://example.com/<x>", 'https://example.com/"'),
            ],
            "webhook_url_too_long": ["https://example.com/" + "a" * 2048],
        }.items(),
    )
    @pytest.mark.parametrize("local_networks", [LOOPBACK, ()])
    def test_the_error_names_the_part_at_fault(
        self, code: str, urls: list[str], local_networks: tuple[IpNetwork, ...]
    ) -> None:
        assert {url: code_of(url, local_networks) for url in urls} == dict.fromkeys(urls, code)

    @pytest.mark.parametrize(
        "host",
        [
            *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0"),
            *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
            *("2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "0x"),
            *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "10.1", "169.254.43518", "10.0.0.1."),
            *("[::1]", "[::]", "[::ffff:10.0.0.1]", "[::FFFF:a9fe:a9fe]", "[::10.0.0.1]", "[64:ff9b::a9fe:a9fe]"),
            *("[64:ff9b:1::a00:1]", "[2002:a00:1::1]", "[fe80::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]"),
            *("localhost", "LOCALHOST.", "api.localhost", "printer.local", "metadata.google.internal"),
        ],
    )
    def test_a_private_or_metadata_address_is_refused_in_every_spelling(self, host: str) -> None:
        assert code_of(f"https://{host}/latest/meta-data") == "webhook_address_not_allowed"
        assert code_of(f"https://{host}:8443") == "webhook_address_not_allowed"

    def test_local_networks_allow_their_own_addresses_alone(self) -> None:
        assert check_webhook_url("https://127.0.0.1:9000/", local_networks=LOOPBACK)
        for host in ("10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "2130706433"):
            assert code_of(f"https://{host}/", LOOPBACK) == "webhook_address_not_allowed"

    @given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "{:#x}", "0{:o}"]))
    def test_a_number_is_judged_as_the_address_that_it_spells(self, number: int, spelling: str) -> None:
        plain = code_of(f"https://{ip_address(number)}/")
        assert code_of(f"https://{spelling.format(number)}/") == plain

    @pytest.mark.parametrize("port", [1, 80, 8080, 65535])
    def test_a_port_that_exists_is_told_from_one_that_is_allowed(self, port: int) -> None:
        assert code_of(f"https://example.com:{port}/") == "webhook_port_not_allowed"

    @given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=20))
    def test_a_strange_label_raises_nothing_but_invalid_input(self, label: str) -> None:
        with suppress(InvalidInput):
            check_webhook_url(f"https://xn--{label}.example.com/", local_networks=())

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8091/ok", "http://localhost:8091/ok", "http://[::1]:8091/ok"])
    def test_http_is_for_loopback_and_local_settings_only(self, url: str) -> None:
        assert check_webhook_url(url, local_networks=LOOPBACK) == url
        with pytest.raises(InvalidInput) as caught:
            check_webhook_url(url, local_networks=())
        assert caught.value.code == "webhook_url_insecure"

    @pytest.mark.parametrize("url", ["http://example.com/", "http://10.0.0.1/", "http://localhost.example.com/"])
    def test_http_elsewhere_is_refused_even_locally(self, url: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_webhook_url(url, local_networks=LOOPBACK)
        assert caught.value.code == "webhook_url_insecure"

    def test_http_is_for_addresses_of_a_local_network_and_not_for_names(self) -> None:
        docker = (IPv4Network("172.17.0.0/16"),)
        assert check_webhook_url("http://172.17.0.1:8091/ok", local_networks=docker)
        for url in ("http://172.18.0.1/", "http://127.0.0.1/", "http://localhost/", "http://receiver.test/"):
            with pytest.raises(InvalidInput):
                check_webhook_url(url, local_networks=docker)
