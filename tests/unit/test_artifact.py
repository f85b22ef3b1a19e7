"""What a registry stores, as values."""

import json

import pytest

from selfdeploy import errors, registry
from selfdeploy.registry import artifact
from selfdeploy.registry.artifact import Descriptor

DIGEST = "sha256:" + "1" * 64


def test_a_release_record_survives_a_round_trip_and_not_a_change() -> None:
    subject = Descriptor(media_type="m", digest=DIGEST, size=3)
    data = artifact.encode_record(artifact.Record(subject=subject, manifest=b"m", evidence=b"e"))

    parts = artifact.decode_record(data, "x")

    assert parts.subject == subject
    assert parts.manifest.digest == artifact.sha256(b"m")
    assert parts.envelopes == ()
    for old, new in ((b"selfdeploy.release", b"other"), (b"selfdeploy.evidence", b"other"), (b"{", b"")):
        with pytest.raises(errors.RecordInvalid, match="no release record"):
            artifact.decode_record(data.replace(old, new), "x")


@pytest.mark.parametrize("text", ["sf", "host/", "host/sf:tag", "host/sf@sha256:1", "ho st/sf"])
def test_a_reference_with_a_tag_or_without_a_host_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigInvalid):
        registry.Reference.parse(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.8.8", True),
        ("localhost:1", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("registry.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_known_by_its_address_and_not_by_its_looks(host: str, *, expected: bool) -> None:
    assert registry.is_loopback(host) is expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"[" * 100_000,
        b'{"manifests": {}}',
        b'{"manifests": [1]}',
        b'{"manifests": [{"digest": "sha256:1", "mediaType": "m", "size": 1}]}',
        b'{"manifests": [{"digest": "' + DIGEST.encode() + b'", "mediaType": "m", "size": -1}]}',
        b'{"manifests": [{"digest": "' + DIGEST.encode() + b'", "mediaType": "m", "size": "1"}]}',
        b'{"manifests": [{"digest": "../../blobs", "mediaType": "m", "size": 1}]}',
        b'{"manifests": [{"digest": "'
        + DIGEST.encode()
        + b'", "mediaType": "m", "size": 1, "platform": {"os": "\\u001b[2J", "architecture": "x"}}]}',
    ],
)
def test_an_index_of_another_shape_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(errors.RegistryInvalid, match="^where: "):
        artifact.parse(artifact.Index, data, "where")


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"<html>", b"[" * 100_000, b'{"a": 1'])
def test_what_is_no_json_object_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(errors.RegistryInvalid, match="^where: no JSON object"):
        artifact.parse_object(data, "where")


ENTRY = {"mediaType": artifact.SINGLE[0], "digest": DIGEST, "size": 1}
LINUX = {"os": "linux", "architecture": "arm64"}


@pytest.mark.parametrize(
    ("entry", "place", "may_be_image"),
    [
        ({"platform": {**LINUX, "variant": None, "os.version": None}}, "linux/arm64", True),
        ({"platform": {**LINUX, "variant": "v8"}, "annotations": None}, "linux/arm64/v8", True),
        ({"platform": None}, "", True),
        ({"platform": {}}, "", True),
        ({"platform": {"os": "", "architecture": ""}}, "", True),
        ({"platform": {"os": "unknown", "architecture": "unknown"}}, "unknown/unknown", False),
        ({"platform": {"os": "linux", "architecture": "unknown"}}, "linux/unknown", False),
        ({"platform": LINUX, "annotations": {artifact.REFERS: "attestation-manifest"}}, "linux/arm64", False),
        ({"mediaType": "application/vnd.oci.artifact.manifest.v1+json"}, "", False),
        ({"mediaType": "application/vnd.oci.image.layer.v1.tar"}, "", False),
        ({"mediaType": artifact.INDEX[1]}, "", True),
    ],
)
def test_an_entry_beside_an_image_is_told_from_one(entry: dict[str, object], place: str, *, may_be_image: bool) -> None:
    data = json.dumps({"mediaType": None, "manifests": [{**ENTRY, **entry}]}).encode()

    (found,) = artifact.parse(artifact.Index, data, "where").manifests

    assert (found.place, found.may_be_image) == (place, may_be_image)


def test_a_list_of_nothing_may_be_null_and_a_required_value_may_not() -> None:
    single = {"config": {**ENTRY, "mediaType": artifact.CONFIG[0]}, "layers": None, "subject": None}

    assert artifact.parse(artifact.Single, json.dumps(single).encode(), "w").layers == ()
    assert artifact.parse(artifact.Index, b'{"manifests": null}', "w").manifests == ()
    for key in ("digest", "size", "mediaType"):
        data = json.dumps({"manifests": [{**ENTRY, key: None}]}).encode()
        with pytest.raises(errors.RegistryInvalid, match="^where: .*Field required"):
            artifact.parse(artifact.Index, data, "where")


@pytest.mark.parametrize(
    ("config", "layers", "what"),
    [
        (artifact.CONFIG[0], ["application/vnd.oci.image.layer.v1.tar+zstd"], ""),
        (artifact.CONFIG[1], [], ""),
        (artifact.EMPTY, [], "its config is 'application/vnd.oci.empty"),
        (
            artifact.CONFIG[0],
            ["application/vnd.dev.cosign.simplesigning.v1+json"],
            "its layers are 'application/vnd",
        ),
        ("application/vnd.cncf.helm.config.v1+json", [], "its config is"),
    ],
)
def test_an_artifact_is_told_from_an_image_by_what_it_holds(config: str, layers: list[str], what: str) -> None:
    value = {"config": {**ENTRY, "mediaType": config}, "layers": [{**ENTRY, "mediaType": kind} for kind in layers]}

    found = artifact.parse(artifact.Single, json.dumps(value).encode(), "where")

    assert found.what_else.startswith(what)
    assert bool(found.what_else) == bool(what)
