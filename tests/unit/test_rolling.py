"""Which replica is started, proven, made live and ended, in which order; engine and front only take notes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from lab.values import a_manifest, a_project
from selfdeploy import config, errors, render
from selfdeploy.engine import Engine
from selfdeploy.engine.containers import Container
from selfdeploy.environments.compose import front, traefik
from selfdeploy.environments.compose.rolling import Rolling
from selfdeploy.process import Outcome

NEW, OLD = "hash-new", "hash-old"


def a_container(name: str, made_of: str = OLD, created: int = 1, *, port: str = "", running: bool = True) -> Container:
    bindings = {"4000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]} if port else {}
    return Container.model_validate(
        {
            "Id": f"id-{name}",
            "Name": f"/{name}",
            "Image": "sha256:1",
            "Created": f"2026-01-01T00:00:0{created}Z",
            "Config": {"Labels": {"com.docker.compose.config-hash": made_of}},
            "State": {"Status": "running" if running else "exited", "Running": running},
            "HostConfig": {"PortBindings": bindings},
        }
    )


@dataclass
class World:
    """An engine with CONTAINERS behind a front that sends requests to LIVE; what happens is in NOTES."""

    containers: list[Container]
    alive: str = ""
    placed: bool = True
    prove: Callable[[Container], None] = lambda _: None
    name: str = "test"
    notes: list[str] = field(default_factory=list)

    def run(self, *argv: str, **_: object) -> Outcome:
        ids = [word for word in argv if word.startswith("id-")]
        self.notes.append(f"{argv[1]} {' '.join(word.removeprefix('id-') for word in ids)}")
        if argv[1] == "rm":
            self.containers = [each for each in self.containers if each.id not in ids]
        return Outcome(argv=(), code=0)

    def compose(self, *argv: str, **_: object) -> Outcome:
        self.notes.append(f"compose {argv[0]} {argv[-2]}")
        self.containers.append(a_container(f"r{len(self.containers) + 1}", NEW, 5))
        return Outcome(argv=(), code=0)

    @property
    def title(self) -> str:
        return "front"

    @property
    def is_placed(self) -> bool:
        return self.placed

    def live(self) -> str:
        return self.alive

    def place(self) -> None:
        self.notes.append("place")
        self.placed = True

    def switch(self, replica: str) -> None:
        self.notes.append(f"switch {replica}")
        self.alive = replica

    def keep(self) -> None:
        self.notes.append(f"keep {self.alive}")

    def remove(self) -> None:
        self.notes.append("remove")

    def rolling(self) -> Rolling:
        def proven(container: Container) -> None:
            self.notes.append(f"prove {container.title}")
            self.prove(container)

        return Rolling(
            engine=cast("Engine", self),
            front=self,
            compose=self.compose,
            find=lambda: tuple(self.containers),
            wanted=NEW,
            prove=proven,
            check=lambda: None,
            grace=15.0,
        )


def test_a_new_replica_is_proven_before_it_goes_live_and_the_old_one_ends_after_that() -> None:
    world = World([a_container("r1")], alive="r1")
    rolling = world.rolling()

    live = rolling.bring(anew=False)
    before = list(world.notes)
    rolling.retire()

    assert live == "r2"
    assert before == ["compose create server=2", "start r2", "prove r2", "place", "switch r2"]
    assert world.notes[len(before) :] == ["keep r2", "stop r1", "rm r1"]


def test_a_replica_that_is_not_proven_never_goes_live() -> None:
    def refuse(_: Container) -> None:
        raise errors.NotProven("no", "")

    world = World([a_container("r1")], alive="r1", prove=refuse)

    with pytest.raises(errors.NotProven):
        world.rolling().bring(anew=False)

    assert world.alive == "r1"
    assert not [note for note in world.notes if note.startswith(("switch", "stop", "rm", "place"))]


def test_what_runs_and_is_live_is_left_alone() -> None:
    world = World([a_container("r1", NEW)], alive="r1")

    assert world.rolling().bring(anew=False) == "r1"
    assert world.notes == []


def test_the_way_back_uses_the_running_replica_and_removes_the_refused_one() -> None:
    world = World([a_container("r1", NEW, 1), a_container("r2", OLD, 2)], alive="r1")

    assert world.rolling().bring(anew=False) == "r1"
    assert world.notes == ["rm r2"]


def test_what_has_had_requests_gets_its_grace_when_it_is_cleared_away() -> None:
    world = World([a_container("r1", OLD, 1), a_container("r2", NEW, 2)], alive="r2")

    world.rolling().bring(anew=False)

    assert world.notes == ["stop r1", "rm r1"]


def test_a_replica_that_is_the_release_and_hangs_is_made_anew_beside_it() -> None:
    world = World([a_container("r1", NEW)], alive="r1")

    assert world.rolling().bring(anew=True) == "r2"


def test_one_that_has_the_port_itself_gives_it_up_only_when_the_new_one_is_proven() -> None:
    world = World([a_container("r1", OLD, port="4100")], placed=False)

    world.rolling().bring(anew=False)

    assert world.notes == ["compose create server=2", "start r2", "prove r2", "stop r1", "place", "switch r2"]


def test_a_front_that_changed_is_replaced_with_the_same_replica_behind_it() -> None:
    world = World([a_container("r1", NEW)], alive="r1", placed=False)

    world.rolling().bring(anew=False)

    assert world.notes == ["prove r1", "place", "switch r1"]


def test_a_replica_of_the_release_that_has_ended_is_not_taken_for_one_that_runs() -> None:
    world = World([a_container("r1"), a_container("r2", NEW, 2, running=False)], alive="r1")

    world.rolling().bring(anew=False)

    assert world.notes[:2] == ["rm r2", "compose create server=2"]


def test_a_front_without_a_replica_gets_no_target_until_one_is_proven() -> None:
    world = World([], alive="r1")

    world.rolling().bring(anew=False)

    assert world.notes[:2] == [f"switch {front.NOBODY}", "compose create server=1"]  # the new one gets the same name
    assert world.notes[-1] == "switch r1"


def test_nothing_is_ended_while_no_replica_is_live() -> None:
    world = World([a_container("r1"), a_container("r2", NEW, 2)])

    with pytest.raises(errors.CommandFailed, match="no replica is live"):
        world.rolling().retire()

    assert world.notes == []


def an_environment(**keys: object) -> dict[str, Any]:
    return {"test": {"kind": "compose", "strategy": "rolling", **keys}}


SITE = {"network": "web", "volume": "files", "rule": "PathPrefix(`/`)"}
WITH_TRAEFIK = an_environment(
    front="traefik",
    url="https://sf.example.test",
    traefik={"network": "web", "volume": "files", "rule": "Host(`sf.example.test`) && PathRegexp(`^/$`)"},
)


def test_a_rendered_file_names_its_front_unless_it_does_not_roll() -> None:
    ours = a_project(environments=an_environment(port=4101))
    theirs = a_project(environments=WITH_TRAEFIK)
    alone = a_project(environments={"test": {"kind": "compose", "port": 4101}})

    haproxy = front.read(render.compose(ours, "test", a_manifest(), "front:1"))
    site = front.read(render.compose(theirs, "test", a_manifest()))

    assert haproxy == {"front": "haproxy"}
    assert site is not None
    assert site["traefik"]["rule"] == "Host(`sf.example.test`) && PathRegexp(`^/$`)"
    assert front.read(render.compose(alone, "test", a_manifest())) is None


@pytest.mark.parametrize("text", ["x-selfdeploy: 5", "x-selfdeploy: '[]'", "[", "5", "x-selfdeploy: '{\"front\": 1}'"])
def test_a_file_that_says_something_else_there_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match="x-selfdeploy"):
        front.read(text)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"front": "traefik"}, "missing"),
        ({"front": "traefik", "url": "https://x.test"}, "given together"),
        ({"port": 4101, "traefik": {"network": "n", "volume": "v", "rule": "r"}}, "given together"),
        ({**WITH_TRAEFIK["test"], "url": ""}, "url: needed with Traefik"),
        ({**WITH_TRAEFIK["test"], "strategy": "recreate"}, "needs strategy"),
        ({**WITH_TRAEFIK["test"], "port": 4101}, "nothing is published where Traefik is the front"),
        (
            {**WITH_TRAEFIK["test"], "traefik": {"network": "n", "volume": "v", "rule": "r", "resolver": "le"}},
            "needs tls",
        ),
        ({"port": None}, "missing"),
        ({"port": 4101, "strategy": "blue-green"}, "rolling"),
    ],
)
def test_settings_of_a_front_that_do_not_fit_are_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(errors.ConfigInvalid) as refused:
        a_project(environments=an_environment(**keys))

    if said != "missing" or "front" not in keys:
        assert said in refused.value.message


def test_a_release_that_was_proven_before_is_asked_only_for_what_it_answered_then() -> None:
    probes = config.Probes(extra=("/api/live-state", "/api/later"))

    assert probes.narrowed(("/api/live-state", "/api/gone")).extra == ("/api/live-state",)
    assert probes.narrowed(None) == probes


def test_traefik_s_file_is_equal_for_equal_settings_and_names_the_replica(tmp_path: Path) -> None:
    settings = a_project(tmp_path, environments=WITH_TRAEFIK).compose("test").traefik
    assert settings is not None
    way = traefik.Traefik(engine=Engine(name="test"), owner="sf-test", settings=settings.model_dump(), image="i")

    content = way._content("sf-test-server-2")  # noqa: SLF001 -- what Traefik reads is what counts

    assert content == way._content("sf-test-server-2")  # noqa: SLF001
    assert b'"url": "http://sf-test-server-2:4000"' in content
    assert b'"service": "sf-test"' in content
    assert traefik.ADDRESS.fullmatch("http://sf-test-server-2:4000")
