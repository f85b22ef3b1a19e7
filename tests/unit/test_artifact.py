"""What a registry stores, as values."""

import pytest

from selfdeploy import errors, registry
from selfdeploy.registry import artifact
from selfdeploy.registry.artifact import Descriptor

DIGEST = "sha256:" + "1" * 64


def test_a_release_record_survives_a_round_trip_and_not_a_change() -> None:
    subject = Descriptor(media_type="m", digest=DIGEST, size=3)
    data = artifact.encode_record(artifact.Record(subject=subject, manifest=b"m", evidence=b"e"))

    found, parts = artifact.decode_record(data, "x")

    assert found == subject
    assert parts[artifact.MANIFEST].digest == artifact.sha256(b"m")
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
