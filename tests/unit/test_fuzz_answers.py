"""Hostile answers of replicas and programs: each ends in an error of ours or in success."""

import datetime
import itertools
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fuzz import TEXT, VALUE, data, dump, ends_well, fuzzed
from lab.values import INDEX, OK, a_manifest, a_namespace, a_project, a_replica, a_round
from selfdeploy import ages, process, shipped, source
from selfdeploy.build import base, builders
from selfdeploy.build.builders import pod
from selfdeploy.probes import probe, witness
from selfdeploy.vega import bind, live, tailnet

pytestmark = pytest.mark.usefixtures("never_hangs", "no_cover")

# Replicas.


@fuzzed
@given(
    data({"healthz": {"status": 200, "body": "{}"}, "version": {"status": 200, "body": "{}"}}),
    TEXT | data({"revision": "a" * 40, "instance": "i"}).map(lambda told: told.decode(errors="replace")),
)
def test_the_answers_of_a_replica_are_compared_whatever_they_are(told: bytes, body: str) -> None:
    made = a_manifest()
    answers = {**probe.read_answers(told), "version": witness.Answer(status=200, body=body), "healthz": OK}
    seen = witness.Round(before=(a_replica(),), after=(a_replica(),), answers={"r": answers})

    ends_well(lambda: witness.compare(made, seen, rpc=True))
    ends_well(lambda: witness.contradicts(made, seen))
    ends_well(lambda: witness.describe(made, answers))
    ends_well(lambda: witness.started(answers))
    assert witness.compare(made, seen)


@fuzzed
@given(TEXT | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01", "2026-01-01Z"]))
def test_since_when_a_replica_runs_is_told_or_left_out(told: str) -> None:
    at = witness.started({"version": witness.Answer(status=200, body=json.dumps({"startedAt": told}))})

    if at:
        ages.describe((datetime.datetime.now(datetime.UTC) - at).total_seconds())


@fuzzed
@given(VALUE.map(json.dumps))
def test_a_version_that_is_not_the_release_s_never_agrees(body: str) -> None:
    made = a_manifest()
    seen = a_round(made)
    answers = {**seen.answers["r"], "version": witness.Answer(status=200, body=body)}

    assert witness.compare(made, witness.Round(before=seen.before, after=seen.after, answers={"r": answers}))


# Programs.

GIT = {
    "--verify": b"a" * 40,
    "--show-prefix": b"sf/",
    "HEAD:sf": b"b" * 40,
    "HEAD^{tree}": b"b" * 40,
    "cat-file": b"tree b\ncommitter A <a@forge.lan> 7 +0000\n\none",
    "--absolute-git-dir": b"/sf/.git",
    "remote.origin.url": b"git@forge.lan:o/sf.git",
    "status": b"",
    "ls-tree": b"100644 blob %b 200\ta\0160000 commit %b -\tm\0" % (b"c" * 40, b"d" * 40),
    "--show-toplevel": b"/",
    "--git-path": b".git/index\n.git/objects\n",
    "write-tree": b"b" * 40,
    "diff-tree": b"a\0",
    "--is-shallow-repository": b"false",
}
SAID = st.sampled_from(
    [b"", b"\0", b"160000 commit x\0", b"160000 commit x\ta\0", b"\n\n", b"a" * 39, b"\xff\x85a", b"9" * 13]
)


def git_uses(checkout: Path, name: str) -> list[Callable[[], object]]:
    """What a release and a build of the live checkout ask of git."""
    revision = source.Revision(checkout=checkout, commit="a" * 40, tree="b" * 40, path="sf", repository="r", epoch=1)

    def resolve() -> None:
        assert re.fullmatch("[0-9a-f]{40}", source.resolve(checkout, name))

    def read() -> None:
        assert re.fullmatch("[0-9a-f]{40}", source.read(checkout).tree)

    def look() -> None:
        made = live.read(checkout)
        live.stamp(made, "t", ())
        live.why_stale(made)

    return [
        resolve,
        read,
        look,
        lambda: source.compare_revisions(checkout, "a" * 40, name),
        lambda: source.export(revision, Path(tempfile.mkdtemp(dir=checkout)) / "export"),
        lambda: source.refuse_dirty(revision),
        lambda: source.refuse_below(checkout),
    ]


@fuzzed
@given(st.sampled_from(sorted(GIT)), st.binary(max_size=40) | SAID | TEXT.map(dump), st.integers(0, 1), TEXT)
def test_what_git_says_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    told: bytes,
    code: int,
    name: str,
) -> None:
    checkout = tmp_path_factory.getbasetemp()
    answers = {**GIT, "--show-toplevel": str(checkout).encode()}

    def run(argv: Sequence[str], **_: object) -> process.Outcome:
        said = next((said for words, said in answers.items() if words in argv), b"")
        failed = code if asked in argv and said is told else 0
        return process.Outcome(argv=(), code=failed, stdout=said, stderr=said)

    monkeypatch.setattr(process, "run", run)
    for use in git_uses(checkout, "main"):
        use()
    answers[asked] = told

    for use in git_uses(checkout, name):
        ends_well(use)
    assert "@" not in source.name_repository(name)


@fuzzed
@given(data([{"ifname": "eth0", "addr_info": [{"local": "10.0.0.7"}, {"local": "fe80::1"}]}]))
def test_the_addresses_of_this_host_are_read_or_refused(monkeypatch: pytest.MonkeyPatch, told: bytes) -> None:
    monkeypatch.setattr(process, "run", lambda *_, **__: process.Outcome(argv=(), code=0, stdout=told))

    ends_well(lambda: bind.check(bind.parse("10.0.0.7"), "none"))


@fuzzed
@given(TEXT | st.sampled_from(["[::1]", "::ffff:0.0.0.0", "fe80::1%eth0", "1" * 99, "::"]))
def test_an_address_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(bind, "host_addresses", dict)
    monkeypatch.setattr(tailnet, "find", lambda: None)

    ends_well(lambda: bind.check(bind.parse(text), "none"))


ENDED = {"name": "executor", "state": {"terminated": {"exitCode": 0, "message": INDEX}}}
POD = {
    "metadata": {"name": "p", "uid": "u", "resourceVersion": "1"},
    "status": {"phase": "Succeeded", "containerStatuses": [ENDED], "conditions": [{"type": "t", "status": "True"}]},
}
EXECUTOR = {"executor": f"r/e@{INDEX}"}
BUILDERS: dict[str, tuple[dict[str, Any], bytes]] = {
    "docker": ({"builder": "docker"}, f"latest: digest: {INDEX} size: 7".encode()),
    "buildkit": ({"builder": "buildkit", "buildkit": {"address": "x"}}, dump({"containerimage.digest": INDEX})),
    "nix2container": ({"builder": "nix2container"}, INDEX.encode()),
    "command": ({"builder": "command", "command": {"argv": ["x", "--digestfile", "{digest_file}"]}}, INDEX.encode()),
    "kaniko": ({"builder": "kaniko", "kaniko": EXECUTOR}, INDEX.encode()),
    "kaniko in a pod": ({"builder": "kaniko", "kaniko": {**EXECUTOR, "environment": "prod"}}, dump(POD)),
}


@pytest.mark.parametrize("name", BUILDERS)
@hypothesis.settings(fuzzed, max_examples=25)
@given(st.data())
def test_what_a_builder_leaves_is_a_digest_or_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, name: str, drawn: st.DataObject
) -> None:
    image, whole = BUILDERS[name]
    folder = tmp_path_factory.getbasetemp()
    left = whole

    def run(argv: Sequence[str], *_: object, **__: object) -> process.Outcome:
        for flag, file in itertools.pairwise(argv):
            if flag in {"--metadata-file", "--digestfile"}:
                Path(file).write_bytes(left)
        return process.Outcome(argv=(), code=0, stdout=left, stderr=left)

    ticks = itertools.count(step=1000)
    monkeypatch.setattr(pod, "time", SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda _: None))
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "feed", run)
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder / "none"))
    project = a_project(image=image, environments={"prod": a_namespace()})
    revision = source.Revision(checkout=folder, commit="a" * 40, tree="b" * 40, path=".", repository="r", epoch=1)
    builder = builders.choose(project, shipped.own("docker/Dockerfile.sf-server"), {"BASE": "b"}, revision)

    def push() -> None:
        assert re.fullmatch("sha256:[0-9a-f]{64}", builder.push(folder, "r:5000/sf:t", {"l": "v"}, 1))

    assert builder.push(folder, "r:5000/sf:t", {}, 1) == INDEX
    left = drawn.draw(data(POD) | TEXT.map(dump) | st.sampled_from([INDEX.encode() + b"x", INDEX.encode()[:-1]]))

    ends_well(push)
    ends_well(lambda: base.refuse_unfit("b", "24.1", builder))
