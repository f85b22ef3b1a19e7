"""What an engine that answers nonsense, or does not say, is said to do; no engine is asked."""

import json
from collections.abc import Callable

import pytest

from lab.values import a_manifest, a_project, an_environment
from selfdeploy import errors
from selfdeploy.engine import Engine
from selfdeploy.environments import fitness
from selfdeploy.environments.compose import environment as compose
from selfdeploy.environments.compose import lock
from selfdeploy.process import Outcome


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (b'[{"Id": 7, "Labels": 7}]', "Id: Input should be a valid string"),
        (b"[7]", "Input should be"),
        (b"[]", "list index out of range"),
        (b"no", "Expecting value"),
    ],
)
def test_what_is_wrong_with_what_an_engine_says_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, told: bytes, said: str
) -> None:
    monkeypatch.setattr(Engine, "run", lambda *_, **__: Outcome(argv=(), code=0, stdout=told))

    with pytest.raises(
        errors.CommandFailed, match="^test: docker image inspect i: not what an engine says: "
    ) as failed:
        Engine(name="test").inspect("image", "i")

    assert said in failed.value.message
    assert len(failed.value.message.splitlines()) == 1


GONE = b"Error response from daemon: No such container: "
BUSY = Outcome(argv=(), code=1, stdout=b"[]", stderr=b"Error response from daemon: a moment, please")


def saying(monkeypatch: pytest.MonkeyPatch, say: Callable[[str], Outcome], *ids: str) -> Engine:
    """Return an engine that has the containers IDS, and that SAYs what it says when one is inspected."""
    listed = Outcome(argv=(), code=0, stdout="\n".join(f"{name} server" for name in ids).encode())

    def inspect(*names: str) -> Outcome:
        told = [say(name) for name in names]
        described = [each for one in told if not one.code for each in json.loads(one.stdout)]
        complaints = b"\n".join(one.stderr for one in told if one.stderr)
        code = max(one.code for one in told)
        return Outcome(argv=(), code=code, stdout=json.dumps(described).encode(), stderr=complaints)

    monkeypatch.setattr(Engine, "run", lambda _, *argv, **__: listed if argv[1] == "ls" else inspect(*argv[2:]))
    return Engine(name="test")


def test_an_engine_s_failure_to_name_a_lock_holder_never_means_a_free_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = saying(monkeypatch, lambda name: Outcome(argv=(), code=1, stdout=b"[]", stderr=GONE + name.encode()))
    assert lock.held_by(gone, "sf-t-lock") is None

    silent = saying(monkeypatch, lambda _: BUSY)

    with pytest.raises(errors.CommandFailed, match="sf-t-lock: exit code 1") as failed:
        lock.held_by(silent, "sf-t-lock")
    assert "a moment, please" in failed.value.hint


def test_an_engine_s_failure_to_describe_a_container_never_means_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = compose.Compose(a_project(environments={"test": an_environment(4101)}), "test")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")

    def say(name: str) -> Outcome:
        if name == "gone":
            return Outcome(argv=(), code=1, stdout=b"[]", stderr=GONE + name.encode())
        return BUSY if busy else Outcome(argv=(), code=0, stdout=json.dumps([described]).encode())

    described, busy = {"Id": "here", "Name": "/here", "Image": "m"}, False
    saying(monkeypatch, say, "gone", "here")
    assert [container.id for container in environment.containers()] == ["here"]

    busy = True

    with pytest.raises(errors.CommandFailed, match="docker container inspect gone, here: exit code 1"):
        environment.containers()


def test_an_engine_that_does_not_describe_a_container_is_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = compose.Compose(a_project(environments={"test": an_environment(4101)}), "test")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    told = iter([BUSY, *[Outcome(argv=(), code=1, stderr=GONE + b"here")] * 2])
    saying(monkeypatch, lambda _: next(told), "here")

    seen = environment.ask(a_manifest())

    assert (seen.before, seen.after, next(told, None)) == ((), (), None)

    monkeypatch.setattr(compose, "HUNG_UP", -1.0)
    saying(monkeypatch, lambda _: BUSY, "here")
    with pytest.raises(errors.CommandFailed):
        environment.ask(a_manifest())


def test_a_port_that_a_rollout_under_way_has_just_published_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = compose.Compose(a_project(environments={"test": an_environment(4101)}), "test")
    seen = iter([False, True, False, False])
    monkeypatch.setattr(fitness, "why_taken", lambda *_: "Address already in use")
    monkeypatch.setattr(compose.Compose, "_publishes", lambda *_: next(seen))

    environment._refuse_taken_port()  # noqa: SLF001 -- what `refuse_unfit` asks last
    with pytest.raises(errors.PortTaken, match="Address already in use"):
        environment._refuse_taken_port()  # noqa: SLF001 -- the same
