"""A release in one file: verified without a registry, and refused when any part is exchanged, cut off or foreign."""

import base64
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fuzz import changed, dump, ends_well, fuzzed
from lab.values import a_manifest, a_project, an_environment
from selfdeploy import config, console, errors, provenance, trust
from selfdeploy.build.assembly import Release
from selfdeploy.release import pipeline
from selfdeploy.trust import bundle, keys

EVIDENCE = provenance.encode("2026-01-01T00:00:00Z", provenance.Holder(who="w"), None)
WHOLE = {"mediaType": bundle.MEDIA_TYPE, "version": 1, "manifest": "", "evidence": "e30=", "envelopes": ["e30="]}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (keys.KEY, keys.FILE, keys.PASSWORD):
        monkeypatch.delenv(name, raising=False)


def a_site(root: Path, *names: str, **image: str) -> config.Project:
    for name in names:
        if not (root / f"{name}.pub").exists():
            keys.make(root / name, "")
    repository = {"repository": a_manifest().image.repository, **image}
    environments = {"test": an_environment(4101)}
    return a_project(root, image=repository, trust={"keys": [f"{n}.pub" for n in names]}, environments=environments)


def releasing(project: config.Project) -> pipeline.Releasing:
    return pipeline.Releasing(
        project, console.choose(command="verify", json=True, environment={}, stdout=io.StringIO())
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle of a release that `ours` has signed."""
    project = a_site(tmp_path, "ours")
    monkeypatch.setenv(keys.FILE, str(tmp_path / "ours.key"))
    envelopes = trust.sign(project, a_manifest(), EVIDENCE)
    path = tmp_path / "release.json"
    path.write_bytes(bundle.encode(a_manifest().bytes, EVIDENCE, envelopes))
    return path


def verify(file: Path, *names: str, **image: str) -> dict[str, object]:
    return releasing(a_site(file.parent, *names, **image)).verify(file=str(file))[1]


def test_a_bundle_names_who_signed_the_release_and_who_accepts_it(file: Path) -> None:
    told = verify(file, "stranger", "ours")

    assert told["signed"] == ["ours.pub"]
    assert told["accepted"] == ["test"]
    assert told["release"] == a_manifest().release


def test_the_parts_of_a_bundle_are_plain_base64_of_what_was_signed(file: Path) -> None:
    told = json.loads(file.read_bytes())

    assert base64.b64decode(told["manifest"], validate=True) == a_manifest().bytes
    assert base64.b64decode(told["evidence"], validate=True) == EVIDENCE
    assert [json.loads(base64.b64decode(each))["payloadType"] for each in told["envelopes"]] == [
        "application/vnd.in-toto+json"
    ] * 2
    assert (told["mediaType"], told["version"]) == ("application/vnd.selfdeploy.bundle.v1+json", 1)


def test_a_bundle_that_no_key_of_ours_signed_is_refused(file: Path) -> None:
    with pytest.raises(errors.Unsigned, match="is not signed$"):
        verify(file, "stranger")


def test_without_environments_an_unsigned_bundle_is_refused_too(file: Path) -> None:
    project = a_site(file.parent, "stranger").model_copy(update={"environments": {}})

    with pytest.raises(errors.Unsigned):
        releasing(project).verify(file=str(file))


def test_a_bundle_is_not_verified_without_a_key(file: Path) -> None:
    with pytest.raises(errors.ConfigInvalid, match="no key to verify with"):
        releasing(a_project(file.parent)).verify(file=str(file))

    (file.parent / "broken.pub").write_text("no key")
    with pytest.raises(errors.KeyUnusable):
        verify(file, "broken")


def test_a_bundle_is_written_without_keys_and_not_at_all_in_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(tmp_path)
    release = Release(manifest=a_manifest(), evidence={}, evidence_bytes=EVIDENCE, envelopes=(b"{}",))
    monkeypatch.setattr(pipeline.Releasing, "require", mock.Mock(return_value=release))
    file = tmp_path / "dist" / "sf-release-bundle.json"

    would = releasing(project).pack("", dry=True)
    before = file.exists()
    done = releasing(project).pack("")

    assert (before, would[0].splitlines()[-1]) == (False, f"would be  {file}")
    assert done[1] == {**would[1], "dry": False}
    assert (done[1]["bundle"], done[1]["envelopes"]) == (str(file), 1)
    found = bundle.read(file)
    assert (found.manifest, found.evidence, found.envelopes) == (a_manifest().bytes, EVIDENCE, (b"{}",))


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


CHANGED: dict[str, tuple[type[errors.SelfdeployError], dict[str, Any]]] = {
    "the evidence of another run": (errors.SignatureInvalid, {"evidence": as_base64(b"{}")}),
    "another gate": (errors.SignatureInvalid, {"manifest": as_base64(a_manifest().bytes.replace(b'"x"', b'"y"', 1))}),
    "no envelope": (errors.Unsigned, {"envelopes": []}),
    "a damaged envelope": (errors.SignatureInvalid, {"envelopes": [as_base64(b"{")]}),
    "no manifest": (errors.ManifestInvalid, {"manifest": ""}),
    "too many envelopes": (errors.RecordInvalid, {"envelopes": ["e30="] * 9}),
    "another version": (errors.RecordInvalid, {"version": 2}),
    "another type": (errors.RecordInvalid, {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}),
    "an unknown key": (errors.RecordInvalid, {"more": 1}),
    "a number for bytes": (errors.RecordInvalid, {"evidence": 7}),
    "no base64": (errors.RecordInvalid, {"evidence": "a"}),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_bundle_with_a_part_exchanged_is_refused(file: Path, what: str) -> None:
    kind, parts = CHANGED[what]
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **parts}))

    with pytest.raises(kind):
        verify(file, "ours")


@pytest.mark.parametrize("cut", [0, 1, 100, -2])
def test_a_truncated_bundle_is_refused_by_its_name(file: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:cut])

    with pytest.raises(errors.RecordInvalid, match=r"release\.json: no bundle: "):
        verify(file, "ours")


def test_a_bundle_too_large_is_refused_unparsed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST", len(file.read_bytes()) - 1)

    with pytest.raises(errors.RecordInvalid, match="no bundle: more than [0-9]+ bytes"):
        verify(file, "ours")


def test_a_bundle_of_another_project_s_image_is_refused(file: Path) -> None:
    with pytest.raises(errors.RecordInvalid, match="a release of 127.0.0.1:5000/sf, .* is r.lan/other$"):
        verify(file, "ours", repository="r.lan/other")


@pytest.mark.parametrize("other", [{"wanted": "r/x@sha256:1"}, {"revision": "main"}])
def test_a_bundle_together_with_a_release_or_revision_is_refused(file: Path, other: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigInvalid, match="^--bundle and --re"):
        releasing(a_site(file.parent, "ours")).verify(**other, file=str(file))


def test_an_empty_name_of_a_bundle_is_no_request_for_the_release_on_record(file: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        releasing(a_site(file.parent, "ours")).verify(file="")


@fuzzed
@given(changed(WHOLE).map(dump) | st.binary(max_size=200))
def test_any_file_is_taken_or_refused_as_a_bundle(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bundle") / "x"
    path.write_bytes(data)
    project = a_site(path.parent)

    ends_well(lambda: releasing(project).assembly.unpack(path))
