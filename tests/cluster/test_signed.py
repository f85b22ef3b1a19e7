"""Signed releases on Kubernetes: believed by their key, and refused untouched when a part was exchanged."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.cluster.site import Site
from lab.site import Done
from selfdeploy import registry
from selfdeploy.trust import keys

TRUST = '[trust]\nkeys = ["ours.pub"]\n'


@pytest.fixture(scope="module")
def signed(new_site: Callable[..., Site]) -> Site:
    """A site that has released two signed revisions to test."""
    made = new_site()
    keys.make(made.folder / "ours", "")
    made.configure(top=TRUST)
    for message in ("two", "three"):
        made.commit(message)
        done = made.inv("release", "--to", "test", **signing(made))
        assert done.returncode == 0, done.stderr
    return made


def signing(site: Site) -> dict[str, str]:
    return {keys.FILE: str(site.folder / "ours.key")}


def refuse(site: Site, code: int, *argv: str) -> Done:
    """Run the command ARGV, which has to end with CODE and leave pods and attempts; return how it went."""
    before = site.record("test")["attempts"], {*site.pods("test")}
    done = site.inv(*argv)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (site.record("test")["attempts"], {*site.pods("test")}) == before
    return done


def test_an_unsigned_record_and_one_of_another_release_are_refused(signed: Site) -> None:
    store = registry.connect(registry.Reference.parse(signed.repository))
    own, other = store.find_record(signed.revision), store.find_record(signed.git("rev-parse", "HEAD~1"))
    assert own
    assert other
    revision = ("--revision", signed.revision)

    store.put_record(replace(own, envelopes=()), signed.revision)
    bare = refuse(signed, 49, "rollout", "-e", "test", *revision)
    store.put_record(replace(own, envelopes=other.envelopes), signed.revision)
    exchanged = refuse(signed, 55, "rollout", "-e", "test", *revision)
    refuse(signed, 55, "probe", "-e", "test", *revision)
    store.put_record(own, signed.revision)

    assert "not signed" in bare.stderr
    assert "of another release" in exchanged.stderr
    assert signed.inv("rollout", "-e", "test", *revision).returncode == 0


def test_a_rollback_believes_what_is_signed_in_the_namespace_s_record(signed: Site) -> None:
    whole = signed.record("test")
    now, before = whole["proven"][:2]

    write(signed, {**whole, "proven": [now, {**before, "envelope": now["envelope"]}]})
    exchanged = refuse(signed, 55, "rollback", "-e", "test", "--yes")
    write(signed, {**whole, "proven": [now, {**before, "envelope": ""}]})
    bare = refuse(signed, 49, "rollback", "-e", "test", "--yes")
    write(signed, whole)
    back = signed.inv("rollback", "-e", "test", "--yes")

    assert "of another release" in exchanged.stderr
    assert "not signed" in bare.stderr
    assert back.returncode == 0, back.stderr
    assert signed.version("test")["revision"] == before["revision"]


def write(site: Site, record: dict[str, object]) -> None:
    """Make RECORD the record of the environment test, past the tool."""
    patch = json.dumps({"data": {"record.json": json.dumps(record)}})
    site.kubectl("test", "patch", "configmap", "sf-record", "--type=merge", f"--patch={patch}")
