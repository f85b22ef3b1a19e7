"""What is not ready to be released, or not allowed to be: refused before anything that runs is touched."""

import hashlib
import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.site import Site
from selfdeploy import source
from selfdeploy.build import assembly
from selfdeploy.config import deploy_toml
from selfdeploy.engine import Engine, volumes
from selfdeploy.environments import record
from selfdeploy.gates import receipt
from selfdeploy.trust import keys


def room(site: Site) -> Path:
    return site.folder / ".selfdeploy" / "trees" / site.revision


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


# What does not get as far as an image.


def test_a_dirty_checkout_is_refused_and_the_file_named(site: Site) -> None:
    dirt = site.folder / "sf" / "dirt.txt"
    dirt.write_text("x")

    refused = site.inv("release")
    dirt.unlink()

    assert refused.returncode == 12
    assert "dirt.txt" in refused.stderr


def test_a_failing_gate_ends_the_release_and_shows_its_log(clean: Site) -> None:
    before = clean.ids()
    clean.edit("tests/core.test.mjs", "assert.equal(parsePort(String(port)), port)", "assert.equal(1, 2)")
    clean.commit("a failing test")

    refused = clean.inv("release")

    assert refused.returncode == 20
    assert "gate test-unit: npm run test:unit: exit code 1" in refused.stderr
    assert "not ok" in refused.stderr or "AssertionError" in refused.stderr
    assert "nox -s gates -- test-unit" in refused.stderr
    assert clean.ids() == before


def test_a_gate_that_ran_no_test_has_not_passed(clean: Site) -> None:
    for file in (clean.folder / "sf" / "tests").iterdir():
        file.rename(file.with_suffix(".txt"))
    clean.edit("package.json", "tests/*.test.mjs", "'tests/**/*.test.mjs'")
    clean.commit("no tests")

    refused = clean.inv("release")

    assert refused.returncode == 20
    assert "0 tests ran; at least 1 have to run" in refused.stderr


def test_a_gate_that_hangs_is_ended_in_time(clean: Site) -> None:
    clean.configure(top='[gates.override.hangs]\ncommand = ["sleep", "600"]\ntimeout = 1\n')
    clean.commit("anything")

    refused = clean.inv("gates")

    assert refused.returncode == 20
    assert "did not end within 1 s" in refused.stderr
    assert not [line for line in clean.processes() if "sleep" in line]


@pytest.mark.parametrize("how", ["passed", "missing", "another log", "another revision", "no JSON"])
def test_a_receipt_that_does_not_hold_together_is_worth_nothing(clean: Site, how: str) -> None:
    older = room(clean)
    clean.inv("gates", "--fresh")
    clean.commit(how)
    clean.inv("gates")
    receipt = room(clean) / "receipt.json"
    match how:
        case "passed":
            rewrite(receipt, lambda value: value["gates"]["typecheck"].update(passed=False))  # type: ignore[index]
        case "missing":
            rewrite(receipt, lambda value: value["gates"].pop("test-unit"))  # type: ignore[attr-defined]
        case "another log":
            log = room(clean) / "logs" / "test-unit.log"
            log.write_text("0 passed\n")
            digest = hashlib.sha256(log.read_bytes()).hexdigest()
            rewrite(receipt, lambda value: value["gates"]["test-unit"].update(log=f"sha256:{digest}"))  # type: ignore[index]
        case "another revision":
            receipt.write_bytes((older / "receipt.json").read_bytes())
        case _:
            receipt.write_text("{")

    refused = clean.inv("build")

    assert refused.returncode == 21, refused.stderr
    assert "inv gates" in refused.stderr


def test_a_tree_that_changed_after_the_gates_is_not_packed(clean: Site) -> None:
    clean.commit("anything")
    clean.inv("gates")
    (clean.shipped / "dist" / "loader.js").write_text("process.exit(0)")

    refused = clean.inv("build")

    assert refused.returncode == 22
    assert "not what the gates left" in refused.stderr


def test_a_link_out_of_the_tree_does_not_ship(clean: Site) -> None:
    file = clean.folder / "deploy.toml"
    file.write_text(file.read_text().replace("node scripts/stamp.mjs", "node scripts/stamp.mjs && ln -s /etc dist/x"))
    clean.commit("a link")

    refused = clean.inv("gates")

    assert refused.returncode == 22
    assert "dist/x: a link to /etc" in refused.stderr


def test_other_gates_than_those_on_record_have_to_pass_first(clean: Site) -> None:
    clean.configure(top='[gates.override.audit]\ncommand = ["false"]\n')

    planned = clean.inv("plan")
    refused = clean.inv("release", "--to", "test")

    assert "gates      to do" in planned.stdout
    assert refused.returncode == 20
    assert "gate audit" in refused.stderr


def test_gates_that_passed_are_those_of_this_revision_and_these_definitions(site: Site) -> None:
    site.inv("gates")
    project = deploy_toml.load(site.folder)
    revision = source.read(project.source_path())

    other = deploy_toml.load(site.folder).model_copy(
        update={"gates": project.gates.model_copy(update={"node": "24.0.0"})}
    )

    assert isinstance(receipt.find(project, revision), receipt.GatedTree)
    assert isinstance(receipt.find(other, revision), Exception)
    assert assembly.Assembly(project).recorded_here() is not None


# What is in the way.


def test_a_clone_that_cannot_tell_which_revision_is_newer_does_not_guess(clean: Site, tmp_path: Path) -> None:
    clean.commit("newer")
    assert clean.inv("release").returncode == 0
    clone = clean.cloned(tmp_path / "clone")
    clone.git("checkout", "--quiet", "--detach", "HEAD~1")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{clone.folder}/sf", str(shallow)], check=True)
    shutil.rmtree(clone.folder / "sf")
    shallow.rename(clone.folder / "sf")

    refused = clone.inv("release")
    # It has both now, and nothing of what lies between them.
    fetch = ["git", "-C", str(clone.folder / "sf"), "fetch", "--quiet", "--depth", "1", f"file://{clean.folder}/sf"]
    subprocess.run([*fetch, "HEAD"], check=True)
    knowing = clone.inv("release")

    for each in (refused, knowing):
        assert each.returncode == 46, each.stderr
        assert "fetch the whole history" in each.stderr
        assert "name a place of its own in environments.test" in each.stderr


def test_a_port_that_is_taken_is_found_out_before_the_first_gate(new_site: Callable[..., Site]) -> None:
    site = new_site()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", site.ports[0]))
        taken.listen()

        refused = site.inv("release")

    assert refused.returncode == 41
    assert str(site.ports[0]) in refused.stderr
    assert "gates ..." not in refused.stderr


def test_an_older_revision_is_refused_unless_it_is_asked_for(clean: Site) -> None:
    first = clean.revision
    clean.commit("newer")
    assert clean.inv("release").returncode == 0
    clean.git("checkout", "--quiet", "--detach", first)

    refused = clean.inv("release")
    asked = clean.inv("release", "--older")
    clean.git("checkout", "--quiet", "main")

    assert refused.returncode == 46
    assert asked.returncode == 0, asked.stderr


def test_an_older_revision_is_refused_before_gates_and_a_cut_off_one_undone(
    clean: Site,
) -> None:
    older = clean.commit("older")
    newer = clean.commit("newer")
    assert clean.inv("release").returncode == 0
    cut_off(clean, "prod")
    clean.git("checkout", "--quiet", "--detach", older)

    refused = clean.inv("release")
    planned = clean.inv("plan")
    clean.git("checkout", "--quiet", "main")

    assert refused.returncode == 46, refused.stderr
    assert f"test: {older} is older than {newer}" in refused.stderr
    assert f"prod runs {newer} again, proven" in refused.stderr
    assert [one["ending"] for one in clean.attempts("prod")[:2]] == ["put back, proven", "cut off"]
    assert planned.returncode == 0, planned.stderr
    assert "gates ..." not in refused.stderr


def cut_off(site: Site, environment: str) -> None:
    """Have the last attempt on ENVIRONMENT be one that nobody lived to end."""
    engine, project = Engine(name=environment), f"{site.name}-{environment[0]}"
    image, file = site.inspect(environment)["Image"], "record.json"
    known = record.parse(volumes.read(engine, image, project, f"{project}-record", file).stdout, environment)
    begun = known.attempts[0].model_copy(update={"ending": record.UNDER_WAY})
    written = known.model_copy(update={"attempts": (begun, *known.attempts[1:])}).model_dump_json().encode()
    assert volumes.write(engine, image, project, f"{project}-record", file, written) == written


def test_a_forgejo_only_environment_refuses_other_builds_before_their_gates(clean: Site) -> None:
    private, _ = keys.make(clean.folder / "ours", "")
    signing, trusted = {keys.FILE: str(private)}, '[trust]\nkeys = ["ours.pub"]\n'
    clean.configure(prod='authority = "forgejo"', top=trusted)
    clean.commit("by hand")
    run = {"FORGEJO_RUN_ID": "7", "FORGEJO_SERVER_URL": "https://forgejo.localhost", "FORGEJO_REPOSITORY": "sf/sf"}
    before = clean.ids()

    refused = clean.inv("release", **signing)
    untouched = clean.ids()
    clean.configure(test='authority = "forgejo"')
    keyless = clean.inv("release", "--to", "test", **run)
    clean.configure(test='authority = "forgejo"', top=trusted)
    taken = clean.inv("release", "--to", "test", **signing, **run)

    assert keyless.returncode == 10, keyless.stderr
    assert "inv keys.new --output keys/forgejo" in keyless.stderr
    assert refused.returncode == 47, refused.stderr
    assert "gates ..." not in refused.stderr
    assert untouched == before
    assert taken.returncode == 0, taken.stderr
    assert "https://forgejo.localhost/sf/sf/actions/runs/7" in clean.inv("history", "-e", "test").stdout


def test_an_image_that_cannot_be_taken_is_refused_before_the_gates(clean: Site) -> None:
    other = clean.version("prod")["image"]
    revision, was = clean.commit("built elsewhere"), clean.version("prod")["revision"]
    wrong = {
        f"{clean.repository}:latest": (10, f"expected {clean.repository}@sha256:..."),
        other.replace("/sf@", "/other@"): (10, f"expected {clean.repository}@sha256:..."),
        f"{clean.repository}@sha256:{'0' * 64}": (33, "the registry has no such image"),
        other: (33, f"expected {revision}, actual {was}"),
    }

    refused = {image: clean.inv("release", "--image", image) for image in wrong}

    for image, (code, said) in wrong.items():
        assert refused[image].returncode == code, refused[image].stderr
        assert said in refused[image].stderr
        assert "gates ..." not in refused[image].stderr


def test_a_base_that_is_not_there_or_none_is_refused_before_the_gates(clean: Site) -> None:
    clean.commit("on another base")
    wrong = {"base:latest": 10, f"{clean.repository}-base@sha256:{'0' * 64}": 32}

    refused = {}
    for base in wrong:
        clean.configure(image=f'base = "{base}"')
        refused[base] = clean.inv("release")
    clean.configure()

    assert {base: done.returncode for base, done in refused.items()} == wrong, refused
    for done in refused.values():
        assert "image.base: " in done.stderr
        assert "gates ..." not in done.stderr


def test_an_engine_that_does_not_answer_is_named(site: Site) -> None:
    refused = site.inv("release", DOCKER_HOST="unix:///nowhere/docker.sock")

    assert refused.returncode == 40
    assert "unix:///nowhere/docker.sock" in refused.stderr
