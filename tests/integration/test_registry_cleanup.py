"""A clean-up of the registry as distribution does it: what it takes, what tags keep, what a cache hides."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lab import builders, client, needed
from lab import registry as lab
from lab.client import store
from lab.values import REVISION, a_manifest
from selfdeploy import errors, manifest, registry
from selfdeploy.build import protection
from selfdeploy.registry import Registry, artifact

INDEX, SINGLE = artifact.INDEX[0], artifact.SINGLE[0]
LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def three() -> str:
    """Distribution 3, compiled."""
    return str(builders.compiled("distribution") / "distribution")


@pytest.fixture(params=["2.8", "3"])
def here(request: pytest.FixtureRequest, home: Path) -> Iterator[lab.Registry]:
    assert home
    needed.need(lab.MISSING)
    program = "docker-registry" if request.param == "2.8" else request.getfixturevalue("three")
    with lab.Registry(program=program) as running:
        yield running


@pytest.fixture
def caching(home: Path) -> Iterator[lab.Registry]:
    assert home
    needed.need(lab.MISSING)
    with lab.Registry(cache=True) as running:
        yield running


def put(ours: Registry, value: Mapping[str, object], kind: str = SINGLE) -> dict[str, object]:
    """Push the manifest VALUE without a tag and return its descriptor."""
    data = json.dumps({"schemaVersion": 2, "mediaType": kind, **value}).encode()
    ours.put_manifest(data, kind, registry.sha256(data))
    return {"mediaType": kind, "digest": registry.sha256(data), "size": len(data)}


def a_blob(ours: Registry, data: bytes, kind: str) -> dict[str, object]:
    ours.put_blob(data)
    return {"mediaType": kind, "digest": registry.sha256(data), "size": len(data)}


def a_single(ours: Registry, name: str) -> dict[str, object]:
    config = json.dumps({"os": "linux", "architecture": name, "config": {}}).encode()
    layers = [a_blob(ours, f"layer of {name}".encode(), LAYER)]
    return put(ours, {"config": a_blob(ours, config, artifact.CONFIG[0]), "layers": layers})


def an_index(ours: Registry) -> registry.Image:
    """Two platforms and an attestation, of which nothing has a tag but the index: `image-1`."""
    entries = [{**a_single(ours, name), "platform": {"os": "linux", "architecture": name}} for name in ("amd64", "arm")]
    entries.append({**a_single(ours, "none"), "platform": {"os": "unknown", "architecture": "unknown"}})
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    ours.put_manifest(data, INDEX, "image-1")
    found = ours.image("image-1")
    assert found is not None
    return found


def a_release(image: registry.Image, ours: Registry) -> manifest.Manifest:
    children = {
        name: manifest.Platform(digest=child.digest, config=child.config) for name, child in image.platforms.items()
    }
    described = manifest.Image(
        repository=str(ours.reference), digest=image.digest, mediaType=image.media_type, platforms=children
    )
    return a_manifest(image=described)


def on_record(ours: Registry) -> tuple[manifest.Manifest, registry.Record]:
    """A release of an index, on record and protected as `inv release` leaves it."""
    image = an_index(ours)
    release = a_release(image, ours)
    found = ours.manifest(image.digest)
    assert found is not None
    record = registry.Record(subject=found[0], manifest=release.bytes, evidence=b"{}")
    protection.keep(ours, release.image)
    ours.put_record(record, REVISION)
    return release, record


def test_everything_of_a_release_survives_a_clean_up(here: lab.Registry) -> None:
    ours = store(here.name)
    release, record = on_record(ours)
    family = [found.digest for found, _ in ours.family(release.image.digest)]

    here.collect_garbage()
    here.restart()

    assert len(family) == 4
    assert [found.digest for found, _ in ours.family(release.image.digest)] == family
    assert ours.absent(release.image.digest) == []
    assert ours.find_record(REVISION) == record
    assert protection.missing(ours, release) == []


def test_a_tag_on_an_index_alone_keeps_its_images_in_version_3_and_not_in_2(here: lab.Registry) -> None:
    ours = store(here.name)
    image = an_index(ours)
    children = sorted(child.digest for child in image.platforms.values())

    here.collect_garbage()
    here.restart()

    assert ours.digest("image-1") == image.digest
    assert sorted(ours.absent(image.digest)) == ([] if "distribution" in here.program else children)
    if "distribution" not in here.program:
        with pytest.raises(errors.ImageGone, match="the registry does not have it"):
            ours.image("image-1")
        with pytest.raises(errors.ImageGone, match=children[0]) as caught:
            protection.protect(ours, a_release(image, ours))
        assert "inv release --fresh" in caught.value.hint


def test_a_protection_tag_that_is_gone_is_named_and_put_back(here: lab.Registry) -> None:
    ours = store(here.name)
    release, record = on_record(ours)
    child = next(iter(release.image.platforms.values())).digest
    ours.put_record(record, protection.record_tag(release.image.digest))  # as earlier ones left it
    wanted = [protection.tag(child), REVISION]
    for name in wanted:
        here.drop_tag("team/sf", name)

    gone = protection.missing(ours, release)
    said = protection.look(release, "which runs here", insecure=False)
    protection.protect(ours, release)
    here.collect_garbage()
    here.restart()

    assert gone == wanted
    assert all(name in said for name in wanted)
    assert protection.missing(ours, release) == []
    assert protection.look(release, "which runs here", insecure=False) == ""
    assert ours.absent(release.image.digest) == []
    assert ours.find_record(REVISION) == record


def test_a_digest_that_was_deleted_takes_all_its_tags_with_it_and_that_is_said(here: lab.Registry) -> None:
    ours = store(here.name)
    release, _ = on_record(ours)
    child = next(iter(release.image.platforms.values())).digest
    status, _ = here.ask(f"/v2/team/sf/manifests/{ours.digest(REVISION)}", method="DELETE")
    assert status == 202

    assert protection.missing(ours, release) == [REVISION]

    here.ask(f"/v2/team/sf/manifests/{child}", method="DELETE")
    with pytest.raises(errors.ImageGone, match=child):
        protection.protect(ours, release)
    assert f"the registry lacks {child}: only the runtime" in protection.look(release, "here", insecure=False)

    here.ask(f"/v2/team/sf/manifests/{release.image.digest}", method="DELETE")
    assert "only the runtime still has it" in protection.look(release, "which runs here", insecure=False)


def test_a_registry_that_does_not_answer_leaves_open_whether_a_release_is_protected(here: lab.Registry) -> None:
    release, _ = on_record(store(here.name))
    here.stop()

    assert protection.look(release, "which runs here", insecure=False).startswith(
        "aaaaaaaaaaaa, which runs here: not known "
    )


def test_a_blob_that_only_a_cache_remembers_is_absent_and_pushed_again(caching: lab.Registry) -> None:
    ours = store(caching.name)
    layer = b"layer of amd64"
    an_index(ours)
    caching.drop_tag("team/sf", "image-1")

    caching.collect_garbage()

    head, _ = caching.ask(f"/v2/team/sf/blobs/{registry.sha256(layer)}", method="HEAD")
    assert head == 200
    assert not ours.gives(registry.sha256(layer), len(layer))
    with pytest.raises(errors.ImageGone, match="announces it and does not give it") as caught:
        ours.blob(registry.sha256(layer))
    assert "restart the registry" in caught.value.hint
    ours.put_blob(layer)
    assert ours.blob(registry.sha256(layer)) == layer


def test_a_push_lost_in_a_registry_s_cache_is_named_and_works_after_restart(caching: lab.Registry) -> None:
    ours = store(caching.name)
    image = an_index(ours)
    caching.drop_tag("team/sf", "image-1")
    caching.collect_garbage()

    with pytest.raises(errors.PushLost, match="confirmed the push, and does not give it back") as caught:
        an_index(ours)

    assert "restart the registry" in caught.value.hint
    caching.restart()
    assert an_index(ours) == image
    assert ours.absent(image.digest) == []


def test_an_image_whose_layer_exists_only_in_a_cache_stays_off_the_record(
    caching: lab.Registry,
) -> None:
    ours = store(caching.name)
    base = b"layer of amd64"
    an_index(ours)
    caching.drop_tag("team/sf", "image-1")
    caching.collect_garbage()

    config = a_blob(ours, b'{"os": "linux", "architecture": "amd64"}', artifact.CONFIG[0])
    layer = {"mediaType": LAYER, "digest": registry.sha256(base), "size": len(base)}  # HEAD says that it is there
    pushed = put(ours, {"config": config, "layers": [layer]})

    image = ours.image(str(pushed["digest"]))
    assert image is not None
    assert ours.absent(image.digest) == [registry.sha256(base)]
    with pytest.raises(errors.ImageGone, match=registry.sha256(base)):
        protection.keep(ours, a_release(image, ours).image)
    assert ours.digest(protection.tag(image.digest)) == ""
