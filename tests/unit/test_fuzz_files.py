"""Hostile files: whatever they hold, it ends in an error of ours or in success, and tells no secret."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from lab import packing
from lab.fuzz import SECRET, TEXT, VALUE, changed, data, dump, ends_well, fuzzed
from lab.values import INDEX, a_manifest, a_namespace_with_everything, a_project, an_environment
from selfdeploy import config, contents, errors, manifest, render, source
from selfdeploy.cluster import kubeconfig
from selfdeploy.commands import scaffold
from selfdeploy.config import deploy_toml
from selfdeploy.config.overlay import Overlay
from selfdeploy.environments import queue
from selfdeploy.environments.compose import secrets
from selfdeploy.environments.kubernetes import claim, objects
from selfdeploy.gates import receipt, verdict
from selfdeploy.gates.room import Room
from selfdeploy.vega import live, settings, swap, translate

pytestmark = pytest.mark.usefixtures("never_hangs", "no_cover")

CONFIG = {
    "source": {"path": "sf"},
    "gates": {"node": "24.19.0", "jobs": 2, "override": {"x": {"command": ["true"], "needs": ["npm-ci"]}}},
    "image": {"repository": "127.0.0.1:5000/sf", "base": f"b/c@{INDEX}", "include": ["dist"]},
    "environments": {
        "test": {"kind": "compose", "port": 4101, "variables": {"A": "b"}},
        "prod": {"kind": "compose", "port": 4100, "after": ["test"], "secrets": {"S": {"env": "X"}}, "url": "http://x"},
    },
}
NO_YAML = st.sampled_from(
    [b"a: [", b"- 2001-99-99", b"{[]: 1}", b"&a [*a]", b"!!python/object:x {}", b"a\tb: \x00", b"= : ="]
)


def in_file(name: str, text: bytes, folder: Path) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


@fuzzed
@given(changed(CONFIG) | VALUE)
def test_a_config_is_taken_or_refused_and_what_was_taken_renders(told: object) -> None:
    def use() -> None:
        project = deploy_toml.parse(told if isinstance(told, dict) else {"source": told}, root=Path("/nowhere"))
        project.source_path()
        for name, environment in project.environments.items():
            if environment.kind == "compose":
                render.compose(project, name, a_manifest())

    ends_well(use)


@fuzzed
@given(changed(a_namespace_with_everything()))
def test_a_namespace_is_taken_or_refused_and_what_was_taken_renders(told: object) -> None:
    def use() -> None:
        project = deploy_toml.parse({"environments": {"test": told}}, root=Path("/nowhere"))
        kubeconfig.find(project, "test")
        assert objects.one(objects.parse(render.kubernetes(project, "test", a_manifest())), "Deployment")
        assert [one["kind"] for one in yaml.safe_load_all(render.rights(project, "test"))][1:] == [
            "Role",
            "RoleBinding",
        ]

    ends_well(use)


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "m", "annotations": {"a": "b"}},
    "spec": {"resources": {"requests": {"storage": "5Gi"}}},
}
RENDERED = {**CLAIM, "services": {"server": {"environment": {"A": None}}}}
VEGA = yaml.safe_load(
    render.vega(
        a_project(),
        {
            "name": "sf-vega",
            "image": "sf-vega:1",
            "base": "b",
            "context": "/p",
            "uid": 7,
            "gid": 8,
            "home": "/h",
            "manifest": "/m",
            "volume": "v",
            "bind": "::1",
            "port": "4000",
            "memory": 1 << 29,
            "cpus": "1.5",
            "labels": [("l", "a")],
            "mounts": [],
        },
    )
)


@fuzzed
@given(st.one_of(st.binary(max_size=60), NO_YAML, VALUE.map(dump), changed(RENDERED, deep=False).map(dump)))
@example(b"[" * 400)
@example(b"[" * 200 + b"]" * 200)
def test_what_was_rendered_is_taken_or_refused(told: bytes) -> None:
    text = told.decode(errors="replace")

    def use() -> None:
        for one in objects.parse(text):
            objects.describe(one)
            claim.unshrunk(one, CLAIM)
            str(objects.Change(wanted=one, before=CLAIM, after=one))

    ends_well(use)
    ends_well(lambda: secrets.named(text))


@fuzzed
@given(st.one_of(st.binary(max_size=60), NO_YAML, changed(VEGA, deep=False).map(dump)))
@example(b"[" * 400)
def test_what_vega_was_rendered_as_is_taken_or_refused(told: bytes) -> None:
    text = told.decode(errors="replace")

    ends_well(lambda: translate.run(text))
    ends_well(lambda: translate.build(text))


TOML = [
    "[source]\npath = {}",
    "[image]\nrepository = {}",
    "[environments.test]\nkind = {}",
    "a = {}",
]
NO_TOML = ["[" * 20_000, "{a=" * 5000, "9" * 5000, "1" + "_1" * 3000, "0001-99-99", "nan", "1e999", '"\\uD800"']


@fuzzed
@given(
    st.binary(max_size=60)
    | st.builds(str.format, st.sampled_from(TOML), st.sampled_from(NO_TOML) | TEXT.map(lambda text: f'"{text}"')).map(
        lambda text: text.encode(errors="surrogatepass")
    )
)
def test_a_config_file_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, told: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    in_file(config.FILE, told, folder)

    ends_well(lambda: deploy_toml.load(folder).source_path())


PLACES = "environments: {{test: {{port: {0}, engine: x}}, {1}: {2}}}"
TAGGED = ["!!int x", "!!int ''", "!!float x", "!!bool x", "!!null x", "9" * 5000, "&a {b: *a}", "2001-99-99", "[" * 400]


@fuzzed
@given(
    st.binary(max_size=60)
    | changed({"environments": {"test": {"port": 7, "bind": "b"}}}, deep=False).map(dump)
    | st.builds(PLACES.format, *[st.sampled_from(TAGGED) | st.sampled_from(["7", "~", "{a: b}"])] * 3).map(str.encode)
)
@example(PLACES.format(7, "prod", "{}").encode())
def test_values_laid_over_it_are_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, told: bytes) -> None:
    file = in_file("values.yml", told, tmp_path_factory.getbasetemp())

    ends_well(lambda: deploy_toml.parse(CONFIG, root=Path("/nowhere"), over=Overlay(file)))


@fuzzed
@given(data(json.loads(a_manifest().bytes)))
def test_a_manifest_is_taken_or_refused(told: bytes) -> None:
    ends_well(lambda: manifest.parse(told))


def read_settings(folder: Path, told: bytes) -> None:
    """Choose the settings of a vega server by what is TOLD, and take them up again from their label."""
    text = told.decode(errors="replace")[:90].strip("\0") or "."
    flags = settings.Flags(workspace=text, port=text, bind=text)
    who = settings.person({"SUDO_UID": text, "SUDO_GID": text, "HOME": text})
    project = a_project(folder, source={"path": "."})
    ends_well(lambda: settings.choose(project, flags, {"SF_WORKSPACES_DIR": text}, who))
    ends_well(lambda: settings.choose(project, settings.Flags(workspace=text), {}, who))


def read_half_swap(folder: Path, told: bytes) -> None:
    in_file(f".selfdeploy/vega/{swap.HALF}", told, folder)
    swap.recover(folder)


def read_ignored(folder: Path, told: bytes) -> None:
    file = in_file(".gitignore", told, folder)
    scaffold.write(folder)
    assert file.read_bytes().startswith(told.rstrip())


def read_secret(folder: Path, told: bytes) -> None:
    in_file("secret", told + SECRET.encode(), folder)
    project = a_project(folder, environments={"test": an_environment(4101, secrets={"S": {"file": "secret"}})})
    assert "\0" not in secrets.read(project, "test")["S"]


def read_kubeconfig(_: Path, told: bytes) -> None:
    path = kubeconfig.hold(told.decode(errors="surrogateescape"))
    assert Path(path).read_bytes() == told
    kubeconfig.hold.cache_clear()
    os.close(int(Path(path).name))


def read_gate_log(_: Path, told: bytes) -> None:
    text = f"{told.decode(errors='replace')}\n# pass {told.decode(errors='replace')}\n"
    for code in (0, 1):
        verdict.refusal("x", config.Gate(command=("x",), minimum_tests=1), code, text)


def read_live_manifest(_: Path, told: bytes) -> None:
    made = live.parse(told, "x")
    assert made.version["revision"] == made.source.revision


def read_stamp(folder: Path, told: bytes) -> None:
    in_file(str(live.STAMP), told, folder)
    live.read_stamp(folder)


ODDITIES = st.sampled_from([b"\xb2", b"\xc2\xb2", b"9" * 10, b"a\0b"])
SOURCE = {"repository": "r", "revision": "a" * 40, "path": ".", "tree": "b" * 40}
LIVE = {
    **json.loads(a_manifest().bytes),
    "kind": "source",
    "source": {**SOURCE, "dirty": True, "changed": ["a"], "builtAt": "t"},
}
GATE = {"name": "g", "command": "c"}
STAMP = {"revision": "a" * 40, "tree": "b" * 40, "changed": ["a"], "builtAt": "t", "gates": [GATE]}
FILES: dict[str, tuple[object, Callable[[Path, bytes], object]]] = {
    "a live manifest": (LIVE, read_live_manifest),
    "the stamp of a build": (STAMP, read_stamp),
    "a swap that was cut off": ({"names": ["dist", "a/b"], "stale": ["c/d"]}, read_half_swap),
    "what git is to ignore": (["dist/"], read_ignored),
    "a secret": ("s", read_secret),
    "a kubeconfig": ({"contexts": []}, read_kubeconfig),
    "the log of a gate": (7, read_gate_log),
    "the settings of a server": ("sf", read_settings),
    "how long to wait": (7, lambda _, told: queue.parse(told.decode(errors="replace"))),
}


@pytest.mark.parametrize("name", FILES)
@hypothesis.settings(fuzzed, max_examples=25)
@given(st.data())
def test_a_file_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, name: str, drawn: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / name
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr("os.getuid", lambda: 0)
    whole, use = FILES[name]
    use(folder, dump(whole))

    ends_well(lambda: use(folder, drawn.draw(data(whole) | ODDITIES)))


RECEIPT = {"key": "k", "tree": INDEX, "gates": {"npm-ci": {"passed": True, "log": INDEX}}}
KINDS = [*(kind.__name__ for kind in errors.SelfdeployError.__subclasses__()), "SelfdeployError", "OSError"]


@fuzzed
@given(data(RECEIPT), data({"error": "GateFailed", "message": "m", "hint": "h"}), st.sampled_from(KINDS), TEXT)
def test_a_receipt_is_honoured_or_not_and_why_it_failed_is_told(
    tmp_path_factory: pytest.TempPathFactory, received: bytes, failure: bytes, kind: str, text: str
) -> None:
    project = a_project(tmp_path_factory.getbasetemp())
    revision = source.Revision(checkout=Path("/"), commit="a" * 40, tree="b" * 40, path=".", repository="r", epoch=1)
    place = Room.of(project, revision)
    in_file(place.receipt.name, received, place.receipt.parent)

    assert isinstance(receipt.find(project, revision), errors.SelfdeployError)
    for told in (failure, dump({"error": kind, "message": text, "hint": text})):
        in_file(place.failure.name, told, place.failure.parent)
        ends_well(place.raise_failure)
    with pytest.raises(errors.SelfdeployError) as failed:
        place.raise_failure()
    assert type(failed.value).__name__ in {kind, "GateFailed"}


PACKAGE: dict[str, Any] = {"name": "sf", "version": "1", "files": ["dist", "!dist/x"]}
LOCK = {"packages": {"node_modules/a": {"link": True, "resolved": "packages/a"}, "node_modules/b": {"dev": True}}}
PATTERN = TEXT | st.sampled_from(["**", "a**", "dist/**.js", "[", "[!", "!**", "*/..", "{a,b}", "dist/\udcff"])


@fuzzed
@given(
    data(PACKAGE) | PATTERN.map(lambda pattern: dump({**PACKAGE, "files": [pattern]})),
    data(LOCK),
    st.lists(PATTERN, max_size=3),
)
def test_what_ships_is_laid_out_or_refused(
    tmp_path_factory: pytest.TempPathFactory, package: bytes, packages: bytes, include: list[str]
) -> None:
    export = tmp_path_factory.getbasetemp() / "export"
    shutil.rmtree(export, ignore_errors=True)
    in_file("package.json", package, export)
    in_file("package-lock.json", packages, export)
    in_file("packages/a/package.json", package, export)
    in_file("dist/loader.js", b"", export)
    in_file("node_modules/b/package.json", packages, export)
    (export / "node_modules" / "a").symlink_to("../packages/a")

    ends_well(lambda: contents.choose(export, export.with_name("scratch"), packing.Npm(), include))
