import ipaddress

import pytest

from selfdeploy import errors
from selfdeploy.vega import bind

INTERFACES = {"127.0.0.1": "lo", "192.168.1.7": "eth0", "100.101.102.103": "tailscale0", "203.0.113.5": "eth1"}
INTERFACES |= {"100.64.7.7": "wwan0", "fd7a:115c:a1e0::8": "eth0"}
INTERFACES |= {"::1": "lo", "fd7a:115c:a1e0::7": "tailscale0", "2001:db8::7": "eth1", "fe80::7": "eth0"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "only this host"),
        ("localhost", "only this host"),
        ("[::1]", "only this host"),
        ("127.3.2.1", "only this host"),
        ("100.101.102.103", "your tailnet reaches it (tailscale0)"),
        ("::ffff:100.101.102.103", "your tailnet"),
        ("fd7a:115c:a1e0::7", "your tailnet"),
        ("192.168.1.7", "the private network at eth0"),
        ("100.64.7.7", "the shared address space at wwan0"),
        ("fd7a:115c:a1e0::8", "the private network at eth0"),
    ],
)
def test_an_address_few_reach_is_taken_and_who_they_are_is_said(address: str, said: str) -> None:
    assert said in bind.judge(bind.parse(address), "none", INTERFACES)


@pytest.mark.parametrize("address", ["::ffff:0.0.0.0", "::", "0:0::0", "203.0.113.5", "2001:db8::7"])
def test_an_address_everybody_reaches_needs_a_guard(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="everybody") as refused:
        bind.judge(bind.parse(address), "none", INTERFACES)

    assert "vega.access_control" in refused.value.hint
    for guard in ("proxy", "firewall"):
        assert guard in bind.judge(bind.parse(address), guard, INTERFACES)


@pytest.mark.parametrize("address", ["192.168.1.8", "100.64.0.9", "8.8.8.8", "fd00::1", "224.0.0.1"])
def test_an_address_this_host_does_not_have_is_refused_and_those_it_has_are_listed(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="no address") as refused:
        bind.judge(bind.parse(address), "firewall", INTERFACES)

    assert "192.168.1.7 (eth0)" in refused.value.hint


@pytest.mark.parametrize("text", ["", "vega.local", "127.0.0.1:4000", "10.0.0.0/8", "0177.0.0.1", "2130706433"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(errors.BindRefused, match="no address"):
        bind.parse(text)


@pytest.mark.parametrize("address", ["fe80::7", "fe80::7%eth0"])
def test_an_address_of_one_link_is_refused(address: str) -> None:
    with pytest.raises(errors.BindRefused, match="one link"):
        bind.judge(bind.parse(address), "proxy", INTERFACES)


def test_the_addresses_judged_are_those_of_the_contract() -> None:
    assert ipaddress.ip_address("100.127.255.254") in bind.TAILSCALE[0]
    assert ipaddress.ip_address("100.128.0.1") not in bind.TAILSCALE[0]
