"""Which tags keep a release, and what is said and done when one is gone; the registry is a dictionary."""

import json
from unittest import mock

import pytest

from lab.shelf import Shelf
from lab.values import REVISION, a_manifest
from selfdeploy import errors, manifest, plan
from selfdeploy.build import inspection, protection
from selfdeploy.build.assembly import Assembly, Release
from selfdeploy.registry import Descriptor, Record, artifact, sha256
from selfdeploy.release import stages

INDEX, SINGLE = artifact.INDEX[0], artifact.SINGLE[0]


def single(shelf: Shelf, name: str) -> dict[str, object]:
    config = json.dumps({"os": "linux", "architecture": name}).encode()
    shelf.put_blob(config)
    part = {"mediaType": artifact.CONFIG[0], "digest": sha256(config), "size": len(config)}
    data = json.dumps({"config": part, "layers": []}).encode()
    shelf.put_manifest(data, SINGLE, sha256(data))
    return {"mediaType": SINGLE, "digest": sha256(data), "size": len(data)}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def release(shelf: Shelf) -> manifest.Manifest:
    """A release of an index of two platforms and an attestation, on record and protected."""
    entries = [{**single(shelf, name), "platform": {"os": "linux", "architecture": name}} for name in ("amd64", "arm")]
    entries.append({**single(shelf, "x"), "platform": {"os": "unknown", "architecture": "unknown"}})
    data = json.dumps({"manifests": entries}).encode()
    shelf.put_manifest(data, INDEX, "image-1")
    image = shelf.image("image-1")
    assert image is not None
    platforms = {
        name: manifest.Platform(digest=child.digest, config=child.config) for name, child in image.platforms.items()
    }
    described = manifest.Image(
        repository="127.0.0.1:1/sf", digest=image.digest, mediaType=image.media_type, platforms=platforms
    )
    made = a_manifest(image=described)
    protection.keep(shelf, described)
    subject = Descriptor(media_type=INDEX, digest=image.digest, size=len(data))
    record = Record(subject=subject, manifest=made.bytes, evidence=b"{}")
    shelf.put_record(record, REVISION)
    return made


def labelled(shelf: Shelf, release: manifest.Manifest) -> manifest.Manifest:
    """Return RELEASE of one platform, whose image's labels name the revision; on record and protected."""
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "config": {"Labels": {inspection.REVISION: REVISION}}}
    ).encode()
    shelf.put_blob(config)
    part = {"mediaType": artifact.CONFIG[0], "digest": sha256(config), "size": len(config)}
    data = json.dumps({"config": part, "layers": []}).encode()
    shelf.put_manifest(data, SINGLE, sha256(data))
    platforms = {"linux/amd64": manifest.Platform(digest=sha256(data), config=sha256(config))}
    image = release.image.model_copy(update={"digest": sha256(data), "mediaType": SINGLE, "platforms": platforms})
    made = release.model_copy(update={"image": image})
    protection.keep(shelf, image)
    subject = Descriptor(media_type=SINGLE, digest=sha256(data), size=len(data))
    protection.set_aside(shelf, REVISION, sha256(data))
    shelf.put_record(Record(subject=subject, manifest=made.bytes, evidence=b"{}"), REVISION)
    return made


def test_every_manifest_of_a_release_has_a_tag_and_a_release_few_tags(shelf: Shelf, release: manifest.Manifest) -> None:
    tagged = set(shelf.tags.values())

    assert tagged == set(shelf.manifests)
    assert len(shelf.tags) == 4 + 2
    assert protection.missing(shelf, release) == []


def test_each_tag_that_is_gone_is_named_and_put_back(shelf: Shelf, release: manifest.Manifest) -> None:
    before = dict(shelf.tags)
    for tag in sorted(before.keys() - {"image-1", REVISION}):
        del shelf.tags[tag]

        assert protection.missing(shelf, release) == [tag]
        protection.protect(shelf, release)

        assert shelf.tags == before


def test_a_protection_tag_on_something_else_counts_as_gone(shelf: Shelf, release: manifest.Manifest) -> None:
    tag = protection.tag(release.image.digest)
    shelf.tags[tag] = shelf.tags[REVISION]

    assert protection.missing(shelf, release) == [tag]


def test_a_record_of_another_image_is_no_protection_of_this_one(shelf: Shelf, release: manifest.Manifest) -> None:
    found = shelf.find_record(REVISION)
    assert found is not None
    other = Descriptor(media_type=INDEX, digest="sha256:" + "0" * 64, size=1)
    shelf.put_record(Record(subject=other, manifest=found.manifest, evidence=found.evidence), REVISION)

    protection.protect(shelf, release)

    assert protection.missing(shelf, release) == [protection.record_tag(release.image.digest)]


def test_a_record_that_another_image_of_the_revision_replaces_gets_a_tag_of_its_own(
    shelf: Shelf, release: manifest.Manifest
) -> None:
    before = shelf.find_record(REVISION)

    newer = labelled(shelf, release)

    aside = protection.record_tag(release.image.digest)
    assert shelf.find_record(aside) == before
    assert protection.find(shelf, release.image.digest) == aside
    assert protection.find(shelf, newer.image.digest) == REVISION
    assert protection.missing(shelf, release) == protection.missing(shelf, newer) == []
    assert {tag for tag in shelf.tags if tag.startswith("release-")} == {aside}


def test_a_record_made_anew_for_the_same_image_leaves_no_tag_behind(shelf: Shelf, release: manifest.Manifest) -> None:
    before = dict(shelf.tags)

    protection.set_aside(shelf, REVISION, release.image.digest)

    assert shelf.tags == before


def test_what_is_no_record_or_has_lost_its_parts_is_not_set_aside(shelf: Shelf, release: manifest.Manifest) -> None:
    found = shelf.find_record(REVISION)
    assert found is not None
    with mock.patch.object(Shelf, "find_record", side_effect=errors.ImageGone("a blob of it")):
        protection.set_aside(shelf, REVISION, "sha256:" + "1" * 64)
    shelf.put_manifest(b"{}", SINGLE, REVISION)
    protection.set_aside(shelf, REVISION, "sha256:" + "1" * 64)

    assert not any(tag.startswith("release-") for tag in shelf.tags)
    assert protection.missing(shelf, release) == [protection.record_tag(release.image.digest)]


def test_a_release_of_an_earlier_version_is_found_and_kept_by_its_own_tags(
    shelf: Shelf, release: manifest.Manifest
) -> None:
    record, tag = shelf.find_record(REVISION), protection.record_tag(release.image.digest)
    assert record is not None
    shelf.put_record(record, tag)

    assert protection.find(shelf, release.image.digest) == tag
    assert protection.missing(shelf, release) == []
    del shelf.tags[REVISION]
    assert protection.missing(shelf, release) == [REVISION]
    protection.protect(shelf, release)
    assert shelf.find_record(REVISION) == record


def test_a_lost_record_is_named_and_not_invented(shelf: Shelf, release: manifest.Manifest) -> None:
    del shelf.tags[REVISION]

    protection.protect(shelf, release)

    assert protection.missing(shelf, release) == [REVISION]
    assert protection.find(shelf, release.image.digest) == ""


def test_an_image_that_is_gone_with_its_record_is_said_to_be_gone(shelf: Shelf) -> None:
    with pytest.raises(errors.ImageGone, match="does not have it"):
        protection.find(shelf, "sha256:" + "2" * 64)


def test_a_release_whose_image_lost_a_part_is_not_protected_but_refused(
    shelf: Shelf, release: manifest.Manifest
) -> None:
    child = release.image.platforms["linux/arm"]
    for gone in (child.config, child.digest):
        shelf.blobs.pop(gone, None)
        shelf.manifests.pop(gone, None)

        with pytest.raises(errors.ImageGone, match=gone) as caught:
            protection.protect(shelf, release)

        assert "inv release --fresh" in caught.value.hint


def test_many_tags_that_are_gone_are_counted() -> None:
    assert protection.describe(["a"]).startswith("protection tag a gone: ")
    assert protection.describe(list("abcde")).startswith("protection tags a, b, c and 2 more gone: ")


def test_a_manifest_without_its_tags_is_missing_and_made_by_putting_them_back(
    shelf: Shelf, release: manifest.Manifest
) -> None:
    assembly = mock.create_autospec(Assembly, instance=True)
    assembly.store = shelf
    assembly.on_record.return_value = Release(manifest=release, evidence={})
    stage = stages.Manifest(assembly=assembly)
    before = dict(shelf.tags)
    tag = protection.tag(release.image.platforms["linux/amd64"].digest)
    del shelf.tags[tag]

    found = stage.find()
    stage.make()

    assert isinstance(found, plan.Missing)
    assert found.why.startswith(f"on record, and protection tag {tag} gone")
    assert shelf.tags == before
    assert stage.find() == plan.Found(why=release.release)
    assembly.write_record.assert_not_called()
