"""Signed releases on Compose: believed by their key, and refused untouched when a part was exchanged."""

import base64
import contextlib
import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import needed
from lab.site import Done, Site, call
from selfdeploy import registry
from selfdeploy.build import attestations
from selfdeploy.trust import keys

TRUST = '[trust]\nkeys = ["ours.pub"]\n'
PASSWORD = "correct horse"  # noqa: S105 -- of keys that live as long as a test


@pytest.fixture(scope="module")
def signed(new_site: Callable[..., Site]) -> Site:
    """A site that has released two signed revisions to test and prod, and signs where `signing` says so."""
    made = new_site()
    keys.make(made.folder / "ours", PASSWORD)
    keys.make(made.folder / "stranger", "")
    made.configure(top=TRUST)
    for message in ("two", "three"):
        made.commit(message)
        done = made.inv("release", **signing(made))
        assert done.returncode == 0, done.stderr
    return made


def signing(site: Site, name: str = "ours") -> dict[str, str]:
    return {keys.FILE: str(site.folder / f"{name}.key"), keys.PASSWORD: PASSWORD if name == "ours" else ""}


def store(site: Site) -> registry.Registry:
    return registry.connect(registry.Reference.parse(site.repository))


def record(site: Site, environment: str) -> Path:
    told = json.loads(site.docker("volume", "inspect", f"{site.name}-{environment[0]}-record").stdout)[0]
    return Path(told["Mountpoint"], "record.json")


def refuse(site: Site, code: int, *argv: str, **environment: str) -> Done:
    """Run the command ARGV, which has to end with CODE and leave servers and records; return how it went."""
    before = site.ids(), *(record(site, name).read_bytes() for name in ("test", "prod"))
    done = site.inv(*argv, **environment)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (site.ids(), *(record(site, name).read_bytes() for name in ("test", "prod"))) == before
    return done


def test_a_signed_release_names_its_key_and_nothing_secret_is_left(signed: Site) -> None:
    found = store(signed).find_record(signed.revision)

    verified = signed.inv("verify")
    again = signed.inv("release")  # without the key: all is on record, and signed
    private = (signed.folder / "ours.key").read_text().splitlines()[1]

    assert verified.returncode == 0, verified.stderr
    assert "signed    ours.pub" in verified.stdout
    assert "accepted  test, prod" in verified.stdout
    assert "nothing to do" in again.stderr
    assert found
    assert len(found.envelopes) == 3
    texts = [path.read_bytes() for path in (signed.folder / ".selfdeploy").rglob("*") if path.is_file()]
    texts += [json.dumps(signed.inspect(name)).encode() for name in ("test", "prod")]
    texts += [found.manifest, found.evidence, *found.envelopes, record(signed, "prod").read_bytes()]
    assert not [text for text in texts if PASSWORD.encode() in text or private.encode() in text]


def test_an_intruder_in_the_history_is_found(signed: Site) -> None:
    file = record(signed, "prod")
    whole = file.read_bytes()
    told: dict[str, Any] = json.loads(whole)
    newest, before = told["attempts"][:2]
    verify = ("history", "-e", "prod", "--verify")

    holds = signed.inv("history", "--verify")
    file.write_text(json.dumps({**told, "attempts": [newest, {**before, "who": "intruder"}]}))
    changed = refuse(signed, 57, *verify)
    file.write_text(json.dumps({**told, "attempts": [before]}))
    removed = refuse(signed, 57, *verify, "--json")
    file.write_bytes(whole)

    assert holds.returncode == 0, holds.stdout
    assert "prod: the chain holds: 2 entries" in holds.stdout
    assert "2 signed by ours.pub" in holds.stdout
    assert f"number 1, begun {before['began']}: changed" in changed.stdout
    assert json.loads(removed.stdout.splitlines()[-1])["items"][0]["faults"][0]["what"] == "removed"


def test_a_signed_release_has_an_sbom_that_the_gated_tree_makes_again(signed: Site) -> None:
    found = store(signed).find_record(signed.revision)
    assert found
    statement = json.loads(base64.b64decode(json.loads(found.envelopes[2])["payload"]))

    recorded = signed.inv("sbom", "--quiet")
    with forged(signed, lambda _, own: replace(own, envelopes=own.envelopes[:2])):
        made = signed.inv("sbom", "--quiet")
        written = signed.inv("sbom", "--output", "sbom.json")
    verified = signed.inv("verify")

    assert statement["predicateType"] == "https://cyclonedx.org/bom"
    assert json.loads(recorded.stdout) == statement["predicate"], recorded.stderr
    assert made.stdout == recorded.stdout == (signed.folder / "sbom.json").read_text(), made.stderr
    assert "Debian packages" in written.stdout
    urls = [each.get("purl", "").partition("?")[0] for each in statement["predicate"]["components"]]
    for package in ("npm/ms@2.1.3", "npm/%40sf/durations@1.0.0", "deb/debian/tini@", "deb/debian/git@"):
        assert [url for url in urls if url.startswith(f"pkg:{package}")], package
    assert not [url for url in urls if "typescript" in url]
    assert "sbom      " in verified.stdout
    proven = json.loads(record(signed, "prod").read_bytes())["proven"]
    assert max(len(each["envelope"]) for each in proven) < 5000


def test_a_revision_cannot_be_released_where_no_key_is_or_the_wrong_one(signed: Site) -> None:
    signed.commit("unsigned")

    keyless = refuse(signed, 49, "release")
    wrong = refuse(signed, 56, "release", **signing(signed, "stranger"))
    planned = signed.inv("plan")
    listed = refuse(signed, 67, "sbom")
    signed.git("reset", "--quiet", "--hard", "HEAD~1")

    assert "test: takes what is signed by ours.pub; this machine has no key to sign with" in keyless.stderr
    assert "is not one of trust.keys" in wrong.stderr
    assert "no signed release on record" in listed.stderr
    assert "this machine has no key to sign with" in planned.stdout
    assert "gates" not in keyless.stderr.splitlines()[0]


def test_a_release_in_one_file_is_verified_without_a_registry_or_an_engine(signed: Site, tmp_path: Path) -> None:
    packed = signed.inv("bundle", "--json", "--output", str(tmp_path / "release.json"))
    for name in ("deploy.toml", "ours.pub", "tasks.py"):
        shutil.copy(signed.folder / name, tmp_path)
    alone = dataclasses.replace(signed, folder=tmp_path)
    unreachable = {"DOCKER_HOST": "tcp://127.0.0.1:1", "PATH": f"{Path(sys.executable).parent}:/nowhere"}

    verified = alone.inv("verify", "--json", "--bundle", "release.json", **unreachable)
    recorded = signed.inv("verify", "--json")
    (tmp_path / "release.json").write_bytes((tmp_path / "release.json").read_bytes()[:-99])
    cut = alone.inv("verify", "--bundle", "release.json", **unreachable)
    both = alone.inv("verify", "--bundle", "release.json", "--revision", "HEAD", **unreachable)
    absent = signed.inv("bundle", "--revision", "f" * 40)

    assert packed.returncode == 0, packed.stderr
    assert json.loads(packed.stdout.splitlines()[-1])["envelopes"] == 3
    assert verified.returncode == 0, verified.stderr
    told, same = (json.loads(done.stdout.splitlines()[-1]) for done in (verified, recorded))
    assert {**told, "at": ""} == {**same, "at": ""}
    assert (cut.returncode, both.returncode, absent.returncode) == (35, 10, 36), (cut.stderr, both.stderr)
    assert "Traceback" not in cut.stderr + both.stderr + absent.stderr


def test_cosign_alone_accepts_the_release_its_provenance_and_sbom_by_our_key(signed: Site, tmp_path: Path) -> None:
    needed.need([] if shutil.which("cosign") else ["cosign"])
    found = store(signed).find_record(signed.revision)
    assert found

    attached = store(signed).manifest(attestations.tag(found.subject.digest))
    codes = {
        (kind, key): call(
            *("cosign", "verify-attestation", "--private-infrastructure", "--type", kind, "--key", f"{key}.pub"),
            f"{signed.repository}@{found.subject.digest}",
            cwd=signed.folder,
            env={"HOME": str(tmp_path)},
        ).returncode
        for kind in ("slsaprovenance1", "https://selfdeploy.dev/release/v1", "cyclonedx")
        for key in ("ours", "stranger")
    }

    assert attached
    layers = json.loads(attached[1])["layers"]
    assert [store(signed).blob(layer["digest"]) for layer in layers] == [*found.envelopes]
    assert {(key, code) for (_, key), code in codes.items()} == {("ours", 0), ("stranger", 1)}


def others(site: Site) -> registry.Record:
    """The record of the revision before, signed as well."""
    found = store(site).find_record(site.git("rev-parse", "HEAD~1"))
    assert found
    return found


EXCHANGED: dict[str, tuple[int, Callable[[Site, registry.Record], registry.Record]]] = {
    "its signatures removed": (49, lambda _, own: replace(own, envelopes=())),
    "another release's signatures": (55, lambda site, own: replace(own, envelopes=others(site).envelopes)),
    "the evidence of another run": (55, lambda site, own: replace(own, evidence=others(site).evidence)),
    "another gate": (55, lambda _, own: replace(own, manifest=own.manifest.replace(b'"true"', b'"false"', 1))),
    "a truncated envelope": (55, lambda _, own: replace(own, envelopes=(own.envelopes[0][:-9],))),
}


@contextlib.contextmanager
def forged(site: Site, forge: Callable[[Site, registry.Record], registry.Record]) -> Iterator[None]:
    """Have the registry hold what FORGE makes of the record of HEAD, until the block ends."""
    own = store(site).find_record(site.revision)
    assert own
    store(site).put_record(forge(site, own), site.revision)
    try:
        yield
    finally:
        store(site).put_record(own, site.revision)


@pytest.mark.parametrize("what", EXCHANGED)
def test_a_record_with_a_part_exchanged_is_refused_at_every_door(signed: Site, what: str) -> None:
    code, forge = EXCHANGED[what]
    revision = ("--revision", signed.revision)

    with forged(signed, forge):
        doors = [
            refuse(signed, code, "rollout", "-e", "test", *revision),
            refuse(signed, code, "promote", "-e", "prod", *revision),
            refuse(signed, code, "probe", "-e", "test", *revision),
            refuse(signed, code, "verify", *revision),
        ]
        planned = signed.inv("plan", "--exit-code")

    assert planned.returncode == code, planned.stdout
    assert all("hint: release" in done.stderr or "inv release --fresh" in done.stderr for done in doors), doors
    assert signed.inv("verify").returncode == 0


def test_an_image_that_this_machine_did_not_build_is_not_signed(signed: Site) -> None:
    signed.commit("built here")
    stages = [signed.inv(stage).returncode for stage in ("gates", "build")]
    note = max((signed.folder / ".selfdeploy" / "images").iterdir(), key=lambda path: path.stat().st_mtime)
    built = note.read_text()
    note.write_text("sha256:" + "0" * 64)  # as after somebody has moved the tag of the gated tree

    refused = refuse(signed, 32, "manifest", **signing(signed))
    again = [signed.inv(stage, **signing(signed)).returncode for stage in ("build", "manifest")]
    signed.git("reset", "--quiet", "--hard", "HEAD~1")

    assert stages == [0, 0]
    assert "no image of the gated tree" in refused.stderr
    assert again == [0, 0]
    assert note.read_text() == built


def test_a_rollback_believes_what_is_signed_in_the_environment_s_record(signed: Site) -> None:
    file = record(signed, "prod")
    whole = file.read_bytes()
    told: dict[str, Any] = json.loads(whole)
    now, before = told["proven"][:2]

    file.write_text(json.dumps({**told, "proven": [now, {**before, "envelope": ""}]}))
    bare = refuse(signed, 49, "rollback", "-e", "prod", "--yes")
    file.write_text(json.dumps({**told, "proven": [now, {**before, "envelope": now["envelope"]}]}))
    exchanged = refuse(signed, 55, "rollback", "-e", "prod", "--yes")
    file.write_bytes(whole)
    back = signed.inv("rollback", "-e", "prod", "--yes")
    loose = signed.inv("history", "-e", "prod", "--verify")
    running = signed.version("prod")["revision"]
    forward = signed.inv("release", "--older")

    assert "prod: " in bare.stderr
    assert "of another release" in exchanged.stderr
    assert back.returncode == 0, back.stderr
    assert (loose.returncode, "its seal is not signed" in loose.stdout) == (49, True)
    assert running == before["revision"]
    assert forward.returncode == 0, forward.stderr


def test_an_unsigned_release_is_made_anew_and_signed_where_the_key_is(signed: Site) -> None:
    signed.commit("made without a key")
    signed.configure()
    made = [signed.inv(stage).returncode for stage in ("gates", "build", "manifest")]
    signed.configure(top=TRUST)

    refused = refuse(signed, 49, "release")
    done = signed.inv("release", **signing(signed))

    assert made == [0, 0, 0]
    assert "this machine has no key to sign with" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert signed.version("prod")["revision"] == signed.revision


def test_an_unsigned_proven_release_is_not_put_back_until_it_is_signed(new_site: Callable[..., Site]) -> None:
    site = new_site()
    keys.make(site.folder / "ours", PASSWORD)
    unsigned = site.inv("release", "--to", "test")
    site.configure(top=TRUST, probes="deadline = 20\nconsecutive = 2")
    site.never_be_ready()

    failed = site.inv("release", "--to", "test", **signing(site))
    site.git("reset", "--quiet", "--hard", "HEAD~1")
    signed = site.inv("release", "--to", "test", "--older", **signing(site))
    told = json.loads(record(site, "test").read_bytes())["proven"][0]

    assert unsigned.returncode == 0, unsigned.stderr
    assert failed.returncode == 52, failed.stderr
    assert "proven here before, is not signed" in failed.stderr
    assert signed.returncode == 0, signed.stderr
    assert (told["revision"], bool(told["envelope"])) == (site.revision, True)
