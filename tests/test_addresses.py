"""Whose request it is: forwarded addresses count only as far as trusted proxies wrote them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web import addresses

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("fd00::/8"))
PROXY = "10.0.0.1"


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1", "replace")) for value in forwarded]
    return {"client": None if peer is None else (peer, 5000), "headers": [(b"host", b"x"), *headers]}


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.1"], "198.51.100.7"),
        (PROXY, [], PROXY),
        (PROXY, ["203.0.113.1"], "203.0.113.1"),
        (PROXY, ["192.0.2.66, 203.0.113.1"], "203.0.113.1"),
        (PROXY, ["192.0.2.66, 203.0.113.1, 10.2.2.2"], "203.0.113.1"),
        (PROXY, ["192.0.2.66", "203.0.113.1", "10.2.2.2"], "203.0.113.1"),
        (PROXY, ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        (PROXY, ["203.0.113.1, unknown, 10.2.2.2"], "10.2.2.2"),
        (PROXY, ["203.0.113.1, "], PROXY),
        (PROXY, ["203.0.113.1, _hidden"], PROXY),
        (PROXY, ["999.0.113.1"], PROXY),
        (PROXY, ["0127.0.0.1"], PROXY),
        (PROXY, ["203.0.113.1:4711"], "203.0.113.1"),
        (PROXY, ["203.0.113.1:port"], PROXY),
        (PROXY, ["[2001:db8::1]:443"], "2001:db8::1"),
        (PROXY, ["[2001:DB8:0::1]"], "2001:db8::1"),
        (PROXY, ["[203.0.113.1]"], PROXY),
        (PROXY, ["[2001:db8::1"], PROXY),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        (PROXY, ["fe80::1%eth0"], "fe80::1"),
        (PROXY, ["203.0.113.1\t"], "203.0.113.1"),
        (PROXY, ["203.0.113.1" + " " * 9 + "x"], PROXY),
        (PROXY, ["1" * 5000], PROXY),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.1"], "203.0.113.1"),
        ("::ffff:203.0.113.9", ["192.0.2.66"], "203.0.113.9"),
        ("fd00::5", ["2001:db8::9"], "2001:db8::9"),
        (None, ["203.0.113.1"], "203.0.113.1"),
        (None, [], "127.0.0.1"),
        ("", ["203.0.113.1"], "203.0.113.1"),
        ("testclient", ["203.0.113.1"], "unknown"),
    ],
)
def test_the_client_is_the_last_hop_a_trusted_proxy_saw(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert addresses.client_ip(scope(peer, *forwarded), TRUSTED) == expected


def test_without_trusted_proxies_nobody_is_believed() -> None:
    assert addresses.client_ip(scope(None, "203.0.113.1"), ()) == "127.0.0.1"


@given(st.lists(st.text()))
def test_an_untrusted_peer_cannot_be_somebody_else(forwarded: list[str]) -> None:
    assert addresses.client_ip(scope("198.51.100.7", *forwarded), TRUSTED) == "198.51.100.7"


@given(st.lists(st.text() | st.ip_addresses().map(str)), st.ip_addresses())
def test_what_the_client_writes_before_the_proxy_does_not_count(
    forged: list[str], real: IPv4Address | IPv6Address
) -> None:
    expected = addresses.client_ip(scope(PROXY, str(real)), (ip_network("10.0.0.1/32"),))
    seen = addresses.client_ip(scope(PROXY, *forged, str(real)), (ip_network("10.0.0.1/32"),))
    assert seen == expected or str(real) == PROXY


@given(st.lists(st.text(st.sampled_from("0123456789abcdef.:[]%, unkow\t"), max_size=60)))
def test_the_answer_is_an_address_whatever_is_forwarded(forwarded: list[str]) -> None:
    seen = addresses.client_ip(scope(PROXY, *forwarded), TRUSTED)
    assert str(ip_address(seen)) == seen


@pytest.mark.parametrize(("peer", "expected"), [(PROXY, True), (None, True), ("198.51.100.7", False), ("x", False)])
def test_only_trusted_peers_are_believed(peer: str | None, expected: bool) -> None:
    assert addresses.is_proxied(scope(peer), TRUSTED) is expected


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("0b8f5b36-0d4c-4f9c-9b52-8a2f3c1d0e9f", "0b8f5b36-0d4c-4f9c-9b52-8a2f3c1d0e9f"),
    ],
)
def test_a_household_is_an_address_or_a_64(ip: str, expected: str) -> None:
    assert addresses.household(ip) == expected


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.1", None),
        ("203.0.113.1", None),
        ("unknown", None),
    ],
)
def test_a_site_is_a_48(ip: str, expected: str | None) -> None:
    assert addresses.site(ip) == expected
