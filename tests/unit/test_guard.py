import concurrent.futures
import contextlib
import os
import socket
import subprocess
from collections.abc import Callable

import pytest

from lab import guard

HARMLESS = ["true"]


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(HARMLESS, check=True),
        lambda: subprocess.Popen(HARMLESS, close_fds=False),
        lambda: os.posix_spawn("/bin/true", HARMLESS, {}),
        lambda: os.posix_spawnp("true", HARMLESS, {}),
        os.fork,
        os.forkpty,
        lambda: os.system("true"),  # noqa: S605 -- what the guard has to refuse
        lambda: os.execv("/bin/true", HARMLESS),  # noqa: S606 -- the same
    ],
)
def test_a_test_that_starts_a_process_is_refused_and_named(start: Callable[[], object]) -> None:
    with (
        pytest.raises(guard.Forbidden, match="this very test started a process"),
        guard.starts_nothing("this very test"),
    ):
        start()


@pytest.mark.parametrize(
    "start",
    [
        socket.socket,
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.create_server(("127.0.0.1", 0)),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: socket.gethostbyname("localhost"),
    ],
)
def test_a_test_that_opens_a_socket_is_refused_and_named(start: Callable[[], object]) -> None:
    with (
        pytest.raises(guard.Forbidden, match="this very test opened a socket"),
        guard.starts_nothing("this very test"),
    ):
        start()


def test_what_swallows_the_refusal_is_told_at_the_end() -> None:
    def swallow() -> None:
        with contextlib.suppress(Exception):
            subprocess.run(HARMLESS, check=True)

    with pytest.raises(guard.Forbidden, match="true"), guard.starts_nothing("x"):
        swallow()


def test_a_thread_of_the_test_is_refused_too() -> None:
    def start_in_a_thread() -> None:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(socket.socket)

    with pytest.raises(guard.Forbidden, match="x opened a socket"), guard.starts_nothing("x"):
        start_in_a_thread()


def test_the_environment_of_a_refused_process_is_not_told() -> None:
    with pytest.raises(guard.Forbidden) as refused, guard.starts_nothing("x"):
        subprocess.run(HARMLESS, check=True, env={"TOKEN": "secret-of-somebody"})

    assert "secret-of-somebody" not in str(refused.value)


def test_a_test_that_starts_nothing_passes() -> None:
    with guard.starts_nothing("x"):
        socket.gethostname()


def test_every_unit_test_is_guarded(watch: guard.Watch) -> None:
    with pytest.raises(guard.Forbidden, match="test_every_unit_test_is_guarded started a process"):
        subprocess.run(HARMLESS, check=True)

    watch.seen.clear()
