import pytest

from selfdeploy import net
from selfdeploy.engine import Engine


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST", "localhost.", "sf.localhost", "127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::"),  # noqa: S104 -- compared, not bound
        *("::ffff:127.0.0.1", "::ffff:0.0.0.0"),
    ],
)
def test_loopback_and_the_unspecified_address_are_here(name: str) -> None:
    assert net.is_here(name)


@pytest.mark.parametrize(
    "name", ["", "sf.lan", "localhost.lan", "notlocalhost", "10.0.0.5", "fd7a::1", "::ffff:10.0.0.5"]
)
def test_what_is_elsewhere_or_has_to_be_looked_up_is_not(name: str) -> None:
    assert not net.is_here(name)


@pytest.mark.parametrize(
    "host",
    [
        *("", "unix:///run/docker.sock", "npipe:////./pipe/docker", "fd://", "tcp://", "tcp://:2375"),
        *("127.0.0.1:2375", "localhost:2375", "0.0.0.0:2375", ":2375", "tcp://127.0.0.1:2375", "tcp://0.0.0.0:2375"),
        *("tcp://[::]:2375", "tcp://[::1]:2375", "[::1]:2375", "ssh://me@localhost", "https://LOCALHOST:2376"),
    ],
)
def test_an_engine_of_this_machine_is_not_remote(host: str) -> None:
    assert not Engine(name="test", host=host).is_remote


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.5:2375",
        "engine:2375",
        "engine",
        "tcp://10.0.0.5",
        "tcp://[fd7a::1]:2375",
        "ssh://me@vega",
        "https://e:1",
    ],
)
def test_an_engine_elsewhere_is_remote_with_and_without_a_scheme(host: str) -> None:
    assert Engine(name="test", host=host).is_remote
