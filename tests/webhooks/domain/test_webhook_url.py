"""Which webhook URLs are accepted by their form."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.webhooks.domain.address import LOOPBACK, IpNetwork
from paybridge.webhooks.domain.webhook_url import check_webhook_url


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
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
        ],
    )
    def test_absolute_https_urls_are_returned_unchanged(self, url: str) -> None:
        assert check_webhook_url(url, local_networks=()) == url

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "example.com",
            "//example.com",
            "/webhook",
            "ftp://example.com",
            "javascript:alert(1)",
            "https:/example.com",
            "https://",
            "https:///path",
            "https://:443/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://@example.com/",
            "https://example.com/#fragment",
            "https://example.com/#",
            "https://example.com:0/",
            "https://example.com:70000/",
            "https://example.com:port/",
            "https://exam ple.com/",
            "https://example.com/\n",
            "https://exa\tmple.com/",
            "https://пример.рф/",
            "https://example..com/",
            "https://[::1/",
            "https://[example.com]/",
            "https://xn--/",
            "https://xn--a/",
            "https://xn--a.example.com/",
            "https://XN--A/",
            "https://example.xn---/",
            "https://xn--example-/",
            "https://xn--99999999/",
            "https://xn--7sg/",
            "https://[::1%25]/x",
            "https://[::1%251]/x",
            "https://[fe80::1%25eth0]/x",
            "https://[2001:db8::1%251]/x",
            "https://example.com\\@evil.test/",
            "https://example.com/" + "a" * 2048,
        ],
    )
    @pytest.mark.parametrize("local_networks", [LOOPBACK, ()])
    def test_other_forms_are_refused(self, url: str, local_networks: tuple[IpNetwork, ...]) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_webhook_url(url, local_networks=local_networks)
        assert caught.value.code == "webhook_url_invalid"

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
