"""Every promise, broken on purpose: it is refused with its own exit code, and what ran before goes on."""

import hashlib
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.site import Site
from selfdeploy import assembly, deploy_toml, gates, manifest, registry, source
from selfdeploy.environments import compose


@pytest.fixture
def clean(site: Site) -> Iterator[Site]:
    """The site, both environments running its HEAD; afterwards they run again what prod has taken meanwhile."""
    before = site.ids()
    yield site
    site.configure()
    site.git("checkout", "--quiet", "--force", "-B", "main", site.version("prod")["revision"])
    site.git("clean", "--quiet", "--force", "-d")
    if site.ids() != before:
        done = site.inv("release", "--older")
        assert done.returncode == 0, done.stderr


def room(site: Site) -> Path:
    return site.folder / ".selfdeploy" / "trees" / site.revision


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def store(site: Site) -> registry.Registry:
    return registry.connect(registry.Reference.parse(site.repository))


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
    assert "ran 0 tests" in refused.stderr


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
            log.write_text("# tests 0\n")
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


# What is not what it says.


def test_a_server_that_says_another_revision_is_put_back_held_and_never_reaches_prod(clean: Site) -> None:
    good, prod = clean.revision, clean.inspect("prod")["Id"]
    bad = clean.answer_as_another_revision()

    failed = clean.inv("release")
    held = clean.inv("release")
    digest = next(word for word in held.stderr.split() if word.startswith("sha256:"))
    history = clean.inv("history", "-e", "test").stdout.splitlines()[0]
    freed = clean.inv("unhold", "-e", "test", "-d", digest)
    again = clean.inv("release")

    assert failed.returncode == 51, failed.stderr
    assert f"revision: expected {bad}, actual {'f' * 40}" in failed.stderr
    assert held.returncode == 45, held.stderr
    assert "put back, proven" in history
    assert freed.returncode == 0, freed.stderr
    assert again.returncode == 51
    assert clean.version("test")["revision"] == good
    assert clean.inspect("prod")["Id"] == prod


def test_a_server_that_never_gets_ready_is_put_back_and_its_log_kept(clean: Site) -> None:
    good = clean.revision
    clean.never_be_ready()

    failed = clean.inv("release")
    evidence = next(line for line in failed.stderr.splitlines() if line.startswith("evidence: "))

    assert failed.returncode == 51
    assert "/api/ready: expected HTTP 200, actual HTTP 503" in failed.stderr
    assert Path(evidence.removeprefix("evidence: ")).read_text()
    assert clean.version("test")["revision"] == good


def test_a_first_release_that_fails_leaves_the_environment_down(new_site: Callable[..., Site]) -> None:
    site = new_site()
    site.never_be_ready()

    failed = site.inv("release")

    assert failed.returncode == 53
    assert "test is down" in failed.stderr
    assert site.inspect("test") == {}
    assert site.inspect("prod") == {}


def test_another_image_of_the_same_revision_under_the_same_manifest_is_not_the_release(clean: Site) -> None:
    first = clean.version("test")["image"]
    file = clean.folder / "Dockerfile"
    file.write_text(f"FROM {first}\nLABEL another=image\n")
    other = f"{clean.repository}:{clean.name}"
    built = clean.docker("build", "--quiet", "--tag", other, "--file", str(file), str(clean.folder / "sf"))
    clean.swap_image("test", other)

    refused = clean.inv("probe", "-e", "test")
    promoted = clean.inv("promote", "-e", "prod")

    assert built.returncode == 0, built.stderr
    assert clean.version("test")["image"] == first
    assert refused.returncode == 50
    assert "runtime: expected image" in refused.stderr
    assert promoted.returncode == 50


def test_a_container_swapped_by_hand_for_another_digest_is_seen_and_mended(clean: Site) -> None:
    old, first = clean.version("test")["image"], clean.revision
    clean.commit("two")
    clean.inv("release")
    prod = clean.inspect("prod")["Id"]
    clean.swap_image("test", old)

    refused = clean.inv("probe", "-e", "test")
    promoted = clean.inv("promote", "-e", "prod")
    mended = clean.inv("release")

    assert refused.returncode == 50
    assert f"actual {first}" in refused.stderr
    assert promoted.returncode == 50
    assert mended.returncode == 0, mended.stderr
    assert clean.inspect("prod")["Id"] == prod
    assert clean.version("test")["revision"] == clean.revision


def test_prod_takes_nothing_when_test_has_stopped_answering(clean: Site) -> None:
    clean.commit("two")
    clean.inv("release", "--to", "test")
    prod = clean.inspect("prod")["Id"]
    clean.docker("pause", clean.container("test"))

    promoted = clean.inv("promote", "-e", "prod")
    clean.docker("unpause", clean.container("test"))

    assert promoted.returncode == 50
    assert "test: not proven" in promoted.stderr
    assert clean.inspect("prod")["Id"] == prod


def test_state_put_back_byte_for_byte_proves_nothing(clean: Site, tmp_path: Path) -> None:
    old, good = clean.version("test")["image"], clean.revision
    clean.commit("two")
    clean.inv("release", "--to", "test")
    shutil.copytree(clean.folder / ".selfdeploy", tmp_path / "state", symlinks=True)
    tag = store(clean).manifest(clean.revision)
    assert tag is not None
    clean.swap_image("test", old)
    shutil.rmtree(clean.folder / ".selfdeploy")
    shutil.copytree(tmp_path / "state", clean.folder / ".selfdeploy", symlinks=True)
    store(clean).put_manifest(tag[1], tag[0].media_type, clean.revision)

    promoted = clean.inv("promote", "-e", "prod")

    assert promoted.returncode == 50
    assert clean.version("prod")["revision"] == good


@pytest.mark.parametrize("how", ["another image", "a gate less", "another revision", "no record", "another subject"])
def test_a_tampered_record_is_refused_though_its_checksums_agree(clean: Site, how: str) -> None:
    good = clean.revision
    there = store(clean)
    old = there.find_record(good)
    assert old is not None
    bad = clean.commit(how)
    assert clean.inv("gates").returncode == 0
    assert clean.inv("build").returncode == 0
    assert clean.inv("manifest").returncode == 0
    record = there.find_record(bad)
    assert record is not None
    text = record.manifest.decode()
    other = manifest.parse(old.manifest).image.digest
    mine = manifest.parse(record.manifest).image.digest
    forged = {
        "another image": registry.Record(
            subject=old.subject, manifest=old.manifest.replace(good.encode(), bad.encode()), evidence=record.evidence
        ),
        "a gate less": registry.Record(
            subject=record.subject, manifest=text.replace('"test-unit"', '"test-none"').encode(), evidence=b"{}"
        ),
        "another revision": registry.Record(subject=old.subject, manifest=old.manifest, evidence=old.evidence),
        "another subject": registry.Record(
            subject=record.subject, manifest=text.replace(mine, other).encode(), evidence=b"{}"
        ),
    }.get(how)
    if forged:
        there.put_record(forged, bad)
    else:
        found = there.manifest(good)
        assert found is not None
        there.put_manifest(found[1].replace(b"selfdeploy.release", b"selfdeploy.nothing"), found[0].media_type, bad)

    refused = clean.inv("release")

    assert refused.returncode in (33, 34, 35), refused.stderr
    assert clean.version("test")["revision"] == good


# What fails without being the release's fault, and what fails while it is put right.


def test_a_way_in_that_is_broken_takes_nothing_down_and_holds_nothing(clean: Site) -> None:
    image = clean.version("prod")["image"]
    clean.configure(prod='url = "http://127.0.0.1:9"')

    failed = clean.inv("release")
    history = clean.inv("history", "-e", "prod").stdout.splitlines()[0]
    clean.configure()
    mended = clean.inv("release")

    assert failed.returncode == 50, failed.stderr
    assert "http://127.0.0.1:9" in failed.stderr
    assert "  not proven" in history
    assert clean.version("prod")["image"] == image
    assert mended.returncode == 0, mended.stderr


def test_a_server_that_hangs_is_made_anew_by_the_next_release(clean: Site) -> None:
    clean.docker("pause", clean.container("test"))
    before = clean.inspect("test")["Id"]

    done = clean.inv("release")

    assert done.returncode == 0, done.stderr
    assert clean.inspect("test")["Id"] != before


def test_settings_that_fail_are_put_back_with_the_address_they_had(clean: Site) -> None:
    before = clean.version("test")["image"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = (clean.folder / "deploy.toml").read_text()
        (clean.folder / "deploy.toml").write_text(text.replace(f"port = {clean.ports[0]}", f"port = {port}"))
        early = clean.inv("rollout", "-e", "test")
        taken.listen()
        refused = clean.inv("rollout", "-e", "test")
    clean.configure()

    assert refused.returncode == 41, refused.stderr
    assert early.returncode in (0, 41, 51), early.stderr
    assert clean.inv("release").returncode == 0
    assert clean.version("test")["image"] == before


def test_a_record_that_is_cut_short_on_its_way_is_not_written(clean: Site) -> None:
    before = clean.inv("history", "-e", "test").stdout
    volume = f"{clean.name}-t-record:/record"
    data = b'{"attempts": []}'
    argv = ["run", "--rm", "--interactive", "--user", "0:0", "--volume", volume, "--entrypoint", "node"]
    command = ["docker", *argv, clean.version("test")["image"], "-e", compose.WRITE, "/record/record.json"]
    told = [str(len(data)), hashlib.sha256(data).hexdigest()]

    cut = subprocess.run([*command, *told], input=data[:-4], capture_output=True, check=False)
    empty = subprocess.run([*command, *told], input=b"", capture_output=True, check=False)

    assert (cut.returncode, empty.returncode) == (3, 3)
    assert clean.inv("history", "-e", "test").stdout == before


def test_a_rollback_that_fails_is_put_back_too(clean: Site) -> None:
    good = (clean.folder / "sf" / "scripts" / "server.cjs").read_text()
    clean.end_when_there_is(".sf/blocked")
    assert clean.inv("release", "--to", "test").returncode == 0
    (clean.folder / "sf" / "scripts" / "server.cjs").write_text(good)
    present = clean.commit("starts in any case")
    assert clean.inv("release", "--to", "test").returncode == 0
    clean.docker("exec", clean.container("test"), "touch", "/home/sf/.sf/blocked")

    back = clean.inv("rollback", "-e", "test")
    history = clean.inv("history", "-e", "test").stdout.splitlines()[0]

    assert back.returncode == 51, back.stderr
    assert "put back, proven" in history
    assert clean.version("test")["revision"] == present


def test_other_gates_than_those_on_record_have_to_pass_first(clean: Site) -> None:
    clean.configure(top='[gates.override.audit]\ncommand = ["false"]\n')

    planned = clean.inv("plan")
    refused = clean.inv("release", "--to", "test")

    assert "gates      missing" in planned.stdout
    assert refused.returncode == 20
    assert "gate audit" in refused.stderr


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

    assert refused.returncode == 46, refused.stderr
    assert "fetch the whole history" in refused.stderr


# What is in the way.


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


def test_what_forgejo_did_not_build_is_refused_where_only_forgejo_may(clean: Site) -> None:
    clean.configure(test='authority = "forgejo"')
    clean.commit("by hand")
    run = {"FORGEJO_RUN_ID": "7", "FORGEJO_SERVER_URL": "https://forgejo.localhost", "FORGEJO_REPOSITORY": "sf/sf"}

    refused = clean.inv("release", "--to", "test")
    clean.commit("by forgejo")
    taken = clean.inv("release", "--to", "test", **run)

    assert refused.returncode == 47
    assert taken.returncode == 0, taken.stderr
    assert "https://forgejo.localhost/sf/sf/actions/runs/7" in clean.inv("history", "-e", "test").stdout


def test_an_engine_that_does_not_answer_is_named(site: Site) -> None:
    refused = site.inv("release", DOCKER_HOST="unix:///nowhere/docker.sock")

    assert refused.returncode == 40
    assert "unix:///nowhere/docker.sock" in refused.stderr


def test_gates_that_passed_are_those_of_this_revision_and_these_definitions(site: Site) -> None:
    site.inv("gates")
    project = deploy_toml.load(site.folder)
    revision = source.read(project.source_path())

    other = deploy_toml.load(site.folder).model_copy(
        update={"gates": project.gates.model_copy(update={"node": "24.0.0"})}
    )

    assert isinstance(gates.find(project, revision), gates.GatedTree)
    assert isinstance(gates.find(other, revision), Exception)
    assert assembly.Assembly(project).recorded_here() is not None
