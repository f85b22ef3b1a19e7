"""Signatures under cosign's tag: ours are added, and others' stay; the registry is a dictionary."""

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lab.shelf import Shelf
from lab.values import INDEX, REVISION, a_manifest, a_project
from selfdeploy import errors, trust
from selfdeploy.build import assembly, attestations, inspection, protection
from selfdeploy.registry import artifact, sha256

TAG = f"sha256-{INDEX.removeprefix('sha256:')}.att"
OURS = b"the release", b"its provenance"


def read(shelf: Shelf) -> dict[str, Any]:
    found = shelf.manifest(TAG)
    assert found
    told: dict[str, Any] = json.loads(found[1])
    return told


def layer(shelf: Shelf, data: bytes, **more: object) -> dict[str, object]:
    shelf.put_blob(data)
    return {"mediaType": artifact.ENVELOPE, "digest": sha256(data), "size": len(data), **more}


def sign(shelf: Shelf, *layers: dict[str, object]) -> None:
    """Have SHELF hold what others have signed."""
    config = {"mediaType": artifact.CONFIG[0], "digest": sha256(b"x"), "size": 1}
    data = json.dumps({"config": config, "layers": layers}).encode()
    shelf.put_manifest(data, artifact.SINGLE[0], TAG)


def test_signatures_are_where_cosign_looks_with_their_predicate_types() -> None:
    shelf = Shelf()

    attestations.attach(shelf, INDEX, OURS)

    told = read(shelf)
    assert [shelf.blob(each["digest"]) for each in told["layers"]] == [*OURS]
    assert {each["mediaType"] for each in told["layers"]} == {"application/vnd.dsse.envelope.v1+json"}
    assert [each["annotations"] for each in told["layers"]] == [
        {"dev.cosignproject.cosign/signature": "", "predicateType": "https://selfdeploy.dev/release/v1"},
        {"dev.cosignproject.cosign/signature": "", "predicateType": "https://slsa.dev/provenance/v1"},
    ]
    assert shelf.blob(told["config"]["digest"]) == b"{}"
    assert "subject" not in told


def test_what_others_have_signed_there_stays_with_all_that_they_wrote() -> None:
    shelf = Shelf()
    theirs = layer(shelf, b"theirs", annotations={"dev.sigstore.cosign/certificate": "pem"}, urls=["https://x"])
    sign(shelf, theirs)

    attestations.attach(shelf, INDEX, OURS)
    once = read(shelf)
    attestations.attach(shelf, INDEX, OURS)

    assert once["layers"][0] == theirs
    assert len(once["layers"]) == 3
    assert read(shelf) == once


def test_signatures_that_the_registry_lost_or_has_no_room_for_are_left_out() -> None:
    shelf = Shelf()
    many = [layer(shelf, b"%d" % number) for number in range(attestations.OTHERS + 5)]
    gone = layer(shelf, b"gone")
    del shelf.blobs[sha256(b"gone")]
    sign(shelf, *many, gone)

    attestations.attach(shelf, INDEX, OURS)

    kept = [each["digest"] for each in read(shelf)["layers"]]
    assert kept == [each["digest"] for each in many[6:]] + [sha256(data) for data in OURS]


@pytest.mark.parametrize("data", [b"{}", b"no json", b'{"manifests": []}', b'{"config": {}, "layers": [7]}'])
def test_a_tag_with_something_else_is_named_and_not_overwritten(data: bytes) -> None:
    shelf = Shelf()
    shelf.put_manifest(data, artifact.INDEX[0], TAG)

    with pytest.raises(errors.RegistryInvalid, match=rf"^no attestations: 127\.0\.0\.1:1/sf:{TAG}: ") as refused:
        attestations.attach(shelf, INDEX, OURS)

    assert refused.value.hint == "somebody else wrote that tag; delete it"
    assert shelf.digest(TAG) == sha256(data)


def test_a_release_whose_signatures_are_refused_is_not_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, store = assembly.Assembly(a_project(tmp_path)), mock.Mock(**{"manifest.return_value": (mock.Mock(), b"")})
    made.__dict__.update(store=store, revision=mock.Mock(commit=REVISION))
    for place, name, value in (
        (assembly.Assembly, "check", {}),
        (assembly.Assembly, "_manifest", a_manifest()),
        (inspection, "bases", {}),
        (trust, "sign", OURS),
        (protection, "keep", None),
        (protection, "set_aside", None),
    ):
        monkeypatch.setattr(place, name, mock.Mock(return_value=value))
    monkeypatch.setattr(assembly.Assembly, "uncommitted", [])
    monkeypatch.setattr(attestations, "attach", mock.Mock(side_effect=errors.PushRefused("no such tag")))

    with pytest.raises(errors.PushRefused):
        made.write_record(mock.Mock(digest=INDEX, receipt=mock.Mock(gates=[], facts={})), mock.Mock(digest=INDEX), "")

    store.put_record.assert_not_called()
