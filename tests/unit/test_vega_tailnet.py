"""Who reaches the shared server, by what Tailscale says of the host."""

import ipaddress
from typing import Any

import pytest

from lab import tailscale
from selfdeploy import errors, process
from selfdeploy.vega import bind, tailnet

LOOPBACK = ipaddress.ip_address("127.0.0.1")
INTERFACES = {"127.0.0.1": "lo", "::1": "lo", "100.101.102.103": "tailscale0", "fd7a:115c:a1e0::7": "tailscale0"}


def who(address: str, known: tailnet.Tailnet | None, access_control: str = "none") -> str:
    parsed = bind.parse(address)
    return bind.describe(bind.judge(parsed, access_control, INTERFACES), parsed, "4000", known)


def found(serve: object = None, **facts: Any) -> tailnet.Tailnet:  # noqa: ANN401 -- what a status takes
    made = tailnet.read(tailscale.status(**facts), serve)
    assert made is not None
    return made


def test_without_tailscale_or_with_an_interface_only_the_host_reaches_loopback() -> None:
    assert who("127.0.0.1", None) == who("127.0.0.1", found()) == "only this host reaches it"
    assert who("127.0.0.1", found(userspace=True, state="Stopped")) == "only this host reaches it"
    assert who("::1", found(userspace=True)) == "only this host reaches it"


def test_in_userspace_mode_the_tailnet_reaches_loopback() -> None:
    assert who("127.0.0.1", found(userspace=True)) == (
        "this host reaches it; your tailnet reaches it at http://vega.tail1234.ts.net:4000 "
        "(tailscaled in userspace mode passes it on to 127.0.0.1)"
    )


@pytest.mark.parametrize("target", ["http://127.0.0.1:4000", "http://localhost:4000", "127.0.0.1:4000"])
def test_what_is_served_is_reached_by_the_tailnet_and_over_funnel_by_everybody(target: str) -> None:
    served, public = found(tailscale.served(target)), found(tailscale.served(target, funnel=True))

    assert who("127.0.0.1", served) == (
        "this host reaches it; your tailnet reaches it at https://vega.tail1234.ts.net:443 (tailscale serve)"
    )
    assert "everybody on the internet reaches it at https://vega.tail1234.ts.net:443 (tailscale funnel)" in who(
        "127.0.0.1", public
    )


@pytest.mark.parametrize("target", ["http://127.0.0.1:4001", "http://10.0.0.1:4000", "text:hello", "http://x:y", ""])
def test_what_is_served_of_something_else_reaches_nothing_of_this(target: str) -> None:
    assert who("127.0.0.1", found(tailscale.served(target))) == "only this host reaches it"


def test_forwarded_ports_sessions_and_services_are_ways_too() -> None:
    forward = {"TCP": {"8443": {"TCPForward": "127.0.0.1:4000"}}}
    plain = {"TCP": {"80": {"HTTP": True}}, "Web": {"h:80": {"Handlers": {"/sf": {"Proxy": "http://127.0.0.1:4000"}}}}}

    ways = [found(serve).ways for serve in (forward, {"Foreground": {"s": forward}}, {"Services": {"svc:x": plain}})]

    assert [[way.url for way in each] for each in ways] == [
        ["tcp://vega.tail1234.ts.net:8443"],
        ["tcp://vega.tail1234.ts.net:8443"],
        ["http://h:80/sf"],
    ]
    assert all(way.leads_to("127.0.0.1", "4000") for each in ways for way in each)


def test_a_tailnet_address_is_named_where_it_has_a_name() -> None:
    assert who("100.101.102.103", found()).endswith("(tailscale0); at http://vega.tail1234.ts.net:4000")
    assert "vega.tail1234.ts.net has no AAAA record" in who("fd7a:115c:a1e0::7", found())


def test_a_tailnet_that_is_down_reaches_nothing_and_that_is_said() -> None:
    down, cut = found(state="Stopped"), found(online=False)

    assert "nobody does now: Tailscale is Stopped: Tailscale is stopped." in who("100.101.102.103", down)
    assert "nobody does now: Tailscale is not connected: Unable to connect" in who("100.101.102.103", cut)


@pytest.mark.parametrize("text", [None, [], {}, {"BackendState": 1}, "x"])
def test_what_is_no_status_counts_as_no_tailscale(text: object) -> None:
    assert tailnet.read(text, {}) is None


@pytest.mark.parametrize(
    "serve", [None, [], {"Web": []}, {"Web": {"h:1": {"Handlers": {"/": 3}}}}, {"TCP": {"1": None}}, {"Foreground": 1}]
)
def test_what_is_no_list_of_ways_has_none(serve: object) -> None:
    assert found(serve).ways == ()


@pytest.mark.parametrize(
    ("facts", "hint"),
    [
        ({"userspace": True}, "bind 127.0.0.1"),
        ({"state": "Stopped"}, "tailscale up"),
        ({}, "it has "),
    ],
)
def test_an_address_that_is_not_there_is_explained_by_tailscale(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], hint: str
) -> None:
    monkeypatch.setattr(bind, "host_addresses", lambda: {"127.0.0.1": "lo"})
    monkeypatch.setattr(tailnet, "find", lambda: found(**facts))

    with pytest.raises(errors.BindRefused, match="no address 100") as refused:
        bind.check(bind.parse("100.101.102.103"), "none")

    assert hint in refused.value.hint


@pytest.mark.parametrize("how", [errors.ToolMissing("tailscale"), errors.CommandTimedOut("tailscale")])
def test_a_command_that_is_missing_or_silent_counts_as_no_tailscale(
    monkeypatch: pytest.MonkeyPatch, how: Exception
) -> None:
    def run(*_: object, **__: object) -> process.Outcome:
        raise how

    monkeypatch.setattr(process, "run", run)

    assert tailnet.find() is None
