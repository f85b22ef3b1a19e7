"""Hostile Docker engines, and what is kept on them: whatever they say, it ends in an error of ours or in success."""

import io
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.fuzz import ODD, TEXT, changed, data, dump, ends_well, fuzzed, turned
from lab.values import CHILD, HOLDER, INDEX, a_manifest, a_project, a_proven, an_attempt, an_environment
from selfdeploy import engine, errors, process
from selfdeploy.engine import containers
from selfdeploy.environments import fitness, record
from selfdeploy.environments.compose import environment, lock
from selfdeploy.probes import probe
from selfdeploy.vega import aside, container, image, live, report, server
from selfdeploy.vega import settings as chosen
from selfdeploy.vega.engine import Engine

pytestmark = pytest.mark.usefixtures("never_hangs", "no_cover")

RECORD = json.loads(record.Record().begin(an_attempt()).prove(a_proven(), "t").hold(INDEX, "why").model_dump_json()) | {
    "attempts": [json.loads(an_attempt().model_dump_json())]
}
CHOSEN = {"value": "/code/sf", "origin": "default"}
SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("source", "workspace", "workspaces", "state"), CHOSEN),
    "bind": {**CHOSEN, "value": "127.0.0.1"},
    "port": {**CHOSEN, "value": "4000"},
    "access_control": "none",
    "uid": 1,
    "gid": 1,
}
LABELS = {
    "dev.selfdeploy.who": "w",
    "dev.selfdeploy.token": "t",
    "dev.selfdeploy.image": "i",
    "dev.selfdeploy.release": INDEX,
    "com.docker.compose.service": "server",
    container.LABEL: "sf-vega",
    f"{container.LABEL}.settings": json.dumps(SETTINGS),
}
CONTAINER = {
    "Id": "c",
    "Name": "/sf-test-server-1",
    "Image": CHILD,
    "Created": "2026-01-01T00:00:00Z",
    "Config": {"Hostname": "h", "Labels": LABELS, "Image": "i"},
    "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "?"},
    "HostConfig": {"PortBindings": {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4100"}]}},
    "Mounts": [{"Type": "bind", "Source": "/code/sf", "Destination": "/opt/sf"}],
}
MADE = live.Manifest.model_validate(
    {
        **json.loads(a_manifest().bytes),
        "kind": "source",
        "source": {**json.loads(a_manifest().bytes)["source"], "dirty": False, "changed": [], "builtAt": "t"},
    },
    strict=False,
)
ENGINE: dict[str, Any] = {
    "container inspect": [CONTAINER],
    "image inspect": [{"Id": CHILD, "RepoTags": ["r/sf:t"], "RepoDigests": [f"r/sf@{INDEX}"]}],
    "volume inspect": [{"Name": "v", "Labels": LABELS}],
    "container ls": "c server",
    "image ls": INDEX,
    "volume ls": "v",
    "info": "/",
    "exec": RECORD,
    "run": RECORD,
    "config": "server h",
    "version": "27.0",
    "context inspect": [{"Name": "n", "Endpoints": {"docker": {"Host": "tcp://h.lan:2376"}}}],
}
"""What an engine answers; what it has no answer for, it answers with nothing."""


@fuzzed
@given(data(RECORD))
def test_the_record_of_an_environment_is_taken_or_refused(told: bytes) -> None:
    def use() -> None:
        for attempt in record.parse(told, "test").attempts:
            str(attempt)

    ends_well(use)


@fuzzed
@given(data([CONTAINER]))
def test_what_docker_inspects_is_taken_or_refused(told: bytes) -> None:
    def use() -> None:
        for one in containers.parse(told, "test"):
            one.replica(frozenset())
            lock.describe(one)
            assert all(isinstance(port, int) for _, port in one.published)

    ends_well(use)


class Told:
    """The docker command, and git's and ip's: each answers what it is asked, and one of them something else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = {words: told.encode() if isinstance(told, str) else dump(told) for words, told in ENGINE.items()}
        self.asked, self.code, self.stderr = "", 0, b""
        monkeypatch.setattr(process, "run", self.run)
        monkeypatch.setattr(probe, "get_all", lambda *_: {})
        monkeypatch.setattr(environment, "HUNG_UP", -1)
        monkeypatch.setattr(fitness, "why_taken", lambda *_: "")

    def turn(self, asked: str, told: bytes, code: int, stderr: bytes) -> None:
        """Have what is ASKED answered otherwise from now on."""
        self.answers[asked], self.asked, self.code, self.stderr = told, asked, code, stderr

    def run(self, argv: Sequence[str], *, stdin: bytes | None = None, **_: object) -> process.Outcome:
        if any("\0" in word or "\ud800" in word for word in argv):
            raise errors.CommandFailed("an argument that no process can have")  # as process.start has it
        asked = next((words for words in self.answers if set(words.split()) <= set(argv)), "")
        if asked == self.asked != "":
            return process.Outcome(argv=(), code=self.code, stdout=self.answers[asked], stderr=self.stderr)
        return process.Outcome(argv=(), code=0, stdout=stdin or self.answers.get(asked, b""))


HOSTILE = st.sampled_from(sorted(ENGINE)).flatmap(
    lambda asked: st.tuples(
        st.just(asked), data(ENGINE[asked]) | TEXT.map(lambda text: text.encode(errors="surrogatepass"))
    )
)
"""One of the questions, and what it is answered."""
COMPLAINTS = st.sampled_from(
    [b"", b"No such container", b"Error: no such image: x", b"No such file", b"\xff\n\n", b"x"]
)


def use_environment(own: environment.Compose) -> None:
    """Look at an environment, release to it and forget what it no longer needs, as commands do."""
    held = SimpleNamespace(container="c", check=lambda: None, replaced="")
    made, rendered = a_manifest(), own.render(a_manifest())
    uses: list[Callable[[], object]] = [
        own.refuse_unfit,
        lambda: fitness.refuse_full_disk(own.engine),
        own.held_by,
        own.any_image,
        own.read,
        lambda: own.read(held),
        lambda: own.write(held, record.Record()),
        lambda: own.fetch("i"),
        own.replicas,
        lambda: own.ask(made),
        lambda: own.rehearse(rendered),
        lambda: own.is_applied(rendered),
        lambda: own.apply(held, made, rendered),
        lambda: own.logs(5),
        lambda: own.forget(lambda: {INDEX: INDEX}),
    ]
    for use in uses:
        ends_well(use)


@settings(fuzzed, max_examples=25)
@given(HOSTILE, st.integers(0, 1), COMPLAINTS)
def test_whatever_an_engine_says_a_release_ends_well(
    monkeypatch: pytest.MonkeyPatch, told: tuple[str, bytes], code: int, complaint: bytes
) -> None:
    settings_ = an_environment(4101, engine="ssh://h.lan", bind="10.0.0.7")
    project = a_project(image={"repository": "r/sf"}, environments={"test": settings_})
    told_by = Told(monkeypatch)
    own = environment.Compose(project, "test")
    assert own.replicas()[0].digests == {CHILD, INDEX}
    assert own.read().attempts
    told_by.turn(*told, code, complaint)

    use_environment(environment.Compose(project, "test"))


@fuzzed
@given(
    data(ENGINE["context inspect"]) | changed(ENGINE["context inspect"]).map(dump),
    st.integers(0, 1),
    TEXT | st.just("tcp://[x"),
)
def test_an_engine_is_named_or_refused(monkeypatch: pytest.MonkeyPatch, told: bytes, code: int, host: str) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    Told(monkeypatch).turn("context inspect", told, code, b"")

    for given_host in ("", host):
        engine.current.cache_clear()
        ends_well(lambda given_host=given_host: engine.connect("test", given_host).is_remote)  # type: ignore[misc]
        ends_well(lambda: engine.refuse_other_loopback("127.0.0.1:1/sf"))
    engine.current.cache_clear()


@pytest.mark.parametrize("asked", ["container inspect", "image inspect", "volume inspect", "info", "context inspect"])
def test_an_answer_that_is_turned_in_one_place_ends_well(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    project = a_project(environments={"test": an_environment(4101, engine="ssh://h.lan")})
    told, vega = Told(monkeypatch), Engine(name="sf-vega", project=project)
    others = [dump(other) for other in turned(ENGINE[asked], (*ODD, "x" * 5000))]

    for other in [*others, b"a\0b", b"x" * 5000]:
        told.turn(asked, other, 0, b"")
        own = environment.Compose(project, "test")
        engine.current.cache_clear()
        uses: list[Callable[[], object]] = [
            own.replicas,
            own.any_image,
            own.read,
            own.held_by,
            lambda own=own: own.forget(lambda: {INDEX: INDEX}),  # type: ignore[misc]
            lambda own=own: fitness.refuse_full_disk(own.engine),  # type: ignore[misc]
            vega.found,
            vega.remembered,
            lambda: aside.is_there(vega),
            lambda: image.identify(vega, "i"),
            lambda: vega.neighbours(Path("/code/sf")),
            lambda: engine.connect("test", "").is_remote,
        ]
        for use in uses:
            ends_well(use)
    engine.current.cache_clear()


# The lock.


def a_child(said: bytes, complaint: bytes) -> Any:  # noqa: ANN401 -- as a process
    return SimpleNamespace(
        stdin=None,
        stdout=io.BytesIO(said),
        stderr=None,
        returncode=0,
        poll=lambda: None,
        wait=lambda *_: 0,
        communicate=lambda: (b"", complaint),
        send_signal=lambda _: None,
    )


@fuzzed
@given(st.binary(max_size=40) | st.sampled_from([b"inf\n", b"nan\n", b"9" * 5000, b"1e400\n", b"-7\n", b"1_0\n"]))
def test_no_echo_that_was_never_sent_keeps_a_lock(told: bytes) -> None:
    heart = lock.Heart(child=a_child(told, b""), heard=lock.clock() - lock.PATIENCE)

    heart.start()
    heart.stop()

    assert heart.heard <= lock.clock()


SAID = st.sampled_from([b"x is already in use", b"No such container", b"is being removed", b"", b"\xff", b"denied"])


@fuzzed
@given(st.binary(max_size=9) | st.just(b"held\n"), SAID, data([CONTAINER]) | changed([CONTAINER]).map(dump))
def test_a_lock_is_taken_or_refused(
    monkeypatch: pytest.MonkeyPatch, said: bytes, complaint: bytes, inspected: bytes
) -> None:
    ticks = itertools.count(step=10)
    clock = SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda _: None, clock_gettime=lambda _: 0.0)
    monkeypatch.setattr(lock, "time", SimpleNamespace(**vars(clock), CLOCK_BOOTTIME=0))
    monkeypatch.setattr("secrets.token_hex", lambda _: "t")
    monkeypatch.setattr(process, "start", lambda *_, **__: a_child(said, complaint))
    told = Told(monkeypatch)
    own = engine.Engine(name="test")

    def hold() -> None:
        with lock.hold(own, "l", "i", "r", HOLDER) as held:
            held.check()

    told.turn("container inspect", inspected, 0, b"")

    ends_well(hold)
    ends_well(lambda: lock.held_by(own, "l"))


# Vega.


def use_vega(own: Engine) -> None:
    """Look at the shared server and what is left of it, as its commands do."""

    def start_again() -> None:
        there = own.found()
        if there and there.settings:
            server.refuse_taken_port(there.settings, there)
            own.render(there.settings, own.manifest(there), image.Image(tag=there.tag, base=""))

    uses: list[Callable[[], object]] = [
        own.refuse_elsewhere,
        start_again,
        lambda: aside.recover(own),
        lambda: own.neighbours(Path("/code/sf")),
        own.remembered,
        own.left,
        own.forget_manifests,
        own.stop,
        lambda: own.logs(5),
        lambda: own.ask(MADE, "http://x"),
        lambda: image.identify(own, "i"),
        lambda: report.status(own.project, own),
    ]
    for use in uses:
        ends_well(use)


def labelled(told: object) -> tuple[str, bytes]:
    labels = {**LABELS, f"{container.LABEL}.settings": json.dumps(told)}
    return "container inspect", dump([{**CONTAINER, "Config": {"Labels": labels}}])


LABELLED = changed(SETTINGS).map(labelled)


@fuzzed
@given(HOSTILE | LABELLED, st.integers(0, 1), COMPLAINTS)
def test_whatever_an_engine_says_of_the_shared_server_its_commands_end_well(
    monkeypatch: pytest.MonkeyPatch, told: tuple[str, bytes], code: int, complaint: bytes
) -> None:
    told_by = Told(monkeypatch)
    told_by.answers["run"] = MADE.bytes
    own = Engine(name="sf-vega", project=a_project())
    found = own.found()
    assert found
    assert found.settings
    assert own.manifest(found) == MADE
    assert own.neighbours(Path("/code/sf")) == ["sf-test-server-1"]
    told_by.turn(*told, code, complaint)

    use_vega(own)


def test_settings_that_a_server_bears_are_taken_or_left() -> None:
    for told in turned(SETTINGS, (*ODD, "x", "0", "99999", -1, 2**32)):
        known = container.settings_of({f"{container.LABEL}.settings": json.dumps(told)})

        if known:
            assert 0 < int(known.port.value) < 65_536
            assert 0 <= min(known.uid, known.gid) <= max(known.uid, known.gid) < 2**32 - 1
            ends_well(lambda known=known: chosen.verify(known))  # type: ignore[misc]
