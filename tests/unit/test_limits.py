"""What a container is held to: how it is written, rendered for either runtime, and told when it was not enough."""

import decimal
import json
from typing import Any

import pytest
import yaml

from lab.values import a_manifest, a_project, a_round, an_environment, the_answers
from selfdeploy import config, errors, render
from selfdeploy.config import quantity
from selfdeploy.engine import Engine, containers
from selfdeploy.environments import fitness
from selfdeploy.probes import witness
from selfdeploy.process import Outcome
from selfdeploy.vega import translate

NAMED = {"name": "v", "image": "i", "base": "b", "context": "/c", "uid": 1, "gid": 1, "home": "/h", "manifest": "/m"}
NAMED |= {"volume": "v", "bind": "127.0.0.1", "port": "1", "labels": [], "mounts": []}


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 512 << 20), ("1.5Gi", 3 << 29), ("2G", 2 * 10**9), ("8000k", 8 * 10**6), ("6291456", 6 << 20)],
)
def test_memory_is_written_as_kubernetes_writes_it(text: str, size: int) -> None:
    limits = config.Compose(kind="compose", port=1, memory=text).limits

    assert quantity.memory(text) == limits["memory"] == size


@pytest.mark.parametrize(
    ("text", "number"), [("2", "2"), ("1.50", "1.5"), ("500m", "0.5"), ("10", "10"), ("10m", "0.01")]
)
def test_cpus_are_written_as_kubernetes_writes_them(text: str, number: str) -> None:
    assert quantity.cpus(text) == decimal.Decimal(number)
    assert config.Vega(cpus=text).limits["cpus"] == number


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("memory", "512MB", "not an amount of memory"),
        ("memory", "-1Gi", "not an amount of memory"),
        ("memory", "500m", "not an amount of memory"),
        ("memory", "", "not an amount of memory"),
        ("memory", "0", "no limit below 6Mi"),
        ("memory", "5Mi", "no limit below 6Mi"),
        ("cpus", "two", "not a number of CPUs"),
        ("cpus", "1Gi", "not a number of CPUs"),
        ("cpus", "0", "no limit below 10m"),
        ("cpus", "9m", "no limit below 10m"),
    ],
)
def test_what_is_no_limit_is_refused_with_its_key(key: str, value: str, said: str) -> None:
    with pytest.raises(errors.ConfigInvalid, match=f"environments.test.{key}: .*{said}"):
        a_project(environments={"test": an_environment(1, **{key: value})})
    with pytest.raises(errors.ConfigInvalid, match=f"vega.{key}: .*{said}"):
        a_project(vega={key: value})


def service(**keys: object) -> dict[str, Any]:
    project = a_project(environments={"test": an_environment(4101, **keys)})
    server: dict[str, Any] = yaml.safe_load(render.compose(project, "test", a_manifest()))["services"]["server"]
    return server


def test_compose_is_given_the_limits_and_no_swap_beyond_them() -> None:
    server = service(memory="512Mi", cpus="1500m")

    assert (server["mem_limit"], server["memswap_limit"], server["cpus"]) == (512 << 20, 512 << 20, "1.5")


def test_without_the_keys_there_is_no_limit_and_the_file_is_what_it_was() -> None:
    assert not {"mem_limit", "memswap_limit", "cpus"} & set(service())


def test_docker_run_is_given_the_limits_of_a_vega_server_too() -> None:
    project = a_project(vega={"memory": "512Mi", "cpus": "0.5"})

    limited = translate.run(render.vega(project, {**NAMED, **project.vega.limits})).options
    free = translate.run(render.vega(project, {**NAMED, **config.Vega().limits})).options

    assert (limited["memory"], limited["memory_swap"], limited["cpus"]) == (512 << 20, 512 << 20, "0.5")
    assert (free["memory"], free["memory_swap"], free["cpus"]) == (None, None, None)


@pytest.mark.parametrize(("wanted", "refused"), [("2", False), ("1999m", False), ("2.1", True), (None, False)])
def test_more_cpus_than_the_engine_has_are_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, *, refused: bool
) -> None:
    monkeypatch.setattr(Engine, "run", lambda *_, **__: Outcome(argv=(), code=0, stdout=b"2\n"))

    if refused:
        with pytest.raises(errors.ConfigInvalid, match="vega.cpus: 2.1: the engine has 2 CPUs"):
            fitness.refuse_few_cpus(Engine(name="test"), wanted, "vega.cpus")
    else:
        fitness.refuse_few_cpus(Engine(name="test"), wanted, "vega.cpus")


def a_killed(status: str, limit: int) -> witness.Replica:
    state = {"Status": status, "Running": status == "running", "OOMKilled": True}
    told = [{"Id": "i", "Name": "/r", "Image": "x", "State": state, "HostConfig": {"Memory": limit}}]
    (container,) = containers.parse(json.dumps(told).encode(), "test")
    return container.replica(a_manifest().image.digests)


def test_a_replica_that_was_killed_for_lack_of_memory_says_so_and_its_limit() -> None:
    made = a_manifest()
    seen = a_round(made, a_killed("restarting", 64 << 20))

    wrong = witness.compare(made, seen)

    assert "r: is restarting" in wrong
    assert wrong[-1] == "r: out of memory: its limit is 64 MiB; raise `memory` in deploy.toml"
    assert "the machine has too little" in a_killed("exited", 0).why


def test_a_process_that_was_killed_beside_a_server_that_answers_is_no_fault() -> None:
    made, there = a_manifest(), a_killed("running", 64 << 20)
    silent = a_round(made, there)
    answers = {"r": the_answers(made, instance=there.instance)}

    good = witness.Round(before=silent.before, after=silent.after, answers=answers)

    assert witness.compare(made, good) == []
    assert witness.compare(made, witness.Round(before=silent.before, after=silent.after))[-1].startswith("r: out of")
