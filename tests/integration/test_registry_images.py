"""Images as a registry has them: platforms, labels and files, and what is none."""

import gzip
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from lab import children, client, images, needed
from lab import registry as lab
from lab.client import a_record, store
from selfdeploy import errors, registry, tree
from selfdeploy.registry import Registry, artifact, layers

SKOPEO = [] if shutil.which("skopeo") else ["skopeo"]
BUSYBOX = [] if images.BUSYBOX.exists() else ["busybox-static"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return client.isolate(tmp_path, monkeypatch)


@pytest.fixture
def here() -> Iterator[lab.Registry]:
    needed.need(lab.MISSING + SKOPEO + BUSYBOX)
    with lab.Registry() as running:
        yield running


def push(to: lab.Registry, layout: Path, *, options: Iterable[str] = (), tag: str = "1") -> None:
    target = f"docker://{to.name}/team/sf:{tag}"
    command = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *options]
    children.run([*command, f"oci:{layout}", target])


@pytest.mark.parametrize("schema2", [False, True])
def test_an_image_has_its_platform_its_config_and_its_labels(
    *, schema2: bool, here: lab.Registry, tmp_path: Path
) -> None:
    images.oci_layout(tmp_path / "layout", labels={"a": "b"})
    push(here, tmp_path / "layout", options=["--format", "v2s2"] if schema2 else [])
    ours = store(here.name)

    found = ours.image("1")

    assert found is not None
    assert found.media_type == artifact.SINGLE[schema2]
    assert list(found.platforms) == ["linux/amd64"]
    child = found.platforms["linux/amd64"]
    assert child.digest == found.digest != child.config
    assert ours.labels(found) == {"linux/amd64": {"a": "b"}}
    assert ours.image(found.digest) == found
    assert ours.image("other") is None


def put_index(ours: Registry, entries: list[dict[str, object]], tag: str) -> str:
    data = json.dumps({"schemaVersion": 2, "mediaType": artifact.INDEX[0], "manifests": entries}).encode()
    ours.put_manifest(data, artifact.INDEX[0], tag)
    return registry.sha256(data)


def put_image(ours: Registry, config: Mapping[str, object], kind: str = artifact.CONFIG[0]) -> registry.Descriptor:
    data = json.dumps(config).encode()
    ours.put_blob(data)
    value = {
        "schemaVersion": 2,
        "mediaType": artifact.SINGLE[0],
        "config": {"mediaType": kind, "digest": registry.sha256(data), "size": len(data)},
        "layers": [],
    }
    manifest = json.dumps(value).encode()
    ours.put_manifest(manifest, artifact.SINGLE[0], registry.sha256(manifest))
    return registry.Descriptor(media_type=artifact.SINGLE[0], digest=registry.sha256(manifest), size=len(manifest))


def test_an_index_is_kept_apart_from_its_platforms_and_attestations_are_left_out(here: lab.Registry) -> None:
    ours = store(here.name)
    amd, arm, attestation = (
        put_image(ours, {"os": "linux", "architecture": name, "config": {"Labels": {"for": name}}})
        for name in ("amd64", "arm64", "attestation")
    )
    entries = [
        {**amd.as_json(), "platform": {"os": "linux", "architecture": "amd64"}},
        {**arm.as_json(), "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**attestation.as_json(), "platform": {"os": "unknown", "architecture": "unknown"}},
        {**attestation.as_json(), "annotations": {artifact.REFERS: "attestation-manifest"}},
    ]
    digest = put_index(ours, entries, "index")

    found = ours.image("index")

    assert found is not None
    assert (found.digest, found.media_type) == (digest, artifact.INDEX[0])
    assert {name: child.digest for name, child in found.platforms.items()} == {
        "linux/amd64": amd.digest,
        "linux/arm64/v8": arm.digest,
    }
    assert ours.labels(found) == {"linux/amd64": {"for": "amd64"}, "linux/arm64/v8": {"for": "arm64"}}


def put_artifact(ours: Registry, config: str, layer: str) -> registry.Descriptor:
    """Push what has an image manifest's media type and is none, as cosign and oras do."""
    parts = []
    for kind, data in ((config, b"{}"), (layer, b"payload")):
        ours.put_blob(data)
        parts.append({"mediaType": kind, "digest": registry.sha256(data), "size": len(data)})
    value = {"schemaVersion": 2, "mediaType": artifact.SINGLE[0], "config": parts[0], "layers": parts[1:]}
    manifest = json.dumps(value).encode()
    ours.put_manifest(manifest, artifact.SINGLE[0], registry.sha256(manifest))
    return registry.Descriptor(media_type=artifact.SINGLE[0], digest=registry.sha256(manifest), size=len(manifest))


COSIGN = artifact.CONFIG[0], "application/vnd.dev.cosign.simplesigning.v1+json"
ORAS = artifact.EMPTY, "application/spdx+json"


@pytest.mark.parametrize(("config", "layer"), [COSIGN, ORAS])
@pytest.mark.parametrize("more", [{}, {"platform": None}, {"platform": {"os": "", "architecture": ""}}])
def test_an_artifact_beside_an_image_is_left_out(
    more: dict[str, object], config: str, layer: str, here: lab.Registry
) -> None:
    ours = store(here.name)
    one, beside = put_image(ours, {"os": "linux", "architecture": "amd64"}), put_artifact(ours, config, layer)
    platform = {"os": "linux", "architecture": "amd64", "variant": None}
    digest = put_index(ours, [{**beside.as_json(), **more}, {**one.as_json(), "platform": platform}], "index")

    found = ours.image("index")

    assert found is not None
    assert {name: child.digest for name, child in found.platforms.items()} == {"linux/amd64": one.digest}
    assert ours.absent(digest) == []
    assert [each.digest for each, _ in ours.family(digest)] == [digest, beside.digest, one.digest]


def test_an_artifact_that_an_engine_might_start_is_refused_with_a_way_on(here: lab.Registry) -> None:
    ours = store(here.name)
    one, beside = put_image(ours, {"os": "linux", "architecture": "amd64"}), put_artifact(ours, *COSIGN)
    platform = {"platform": {"os": "linux", "architecture": "amd64"}}
    put_index(ours, [{**one.as_json(), **platform}, {**beside.as_json(), **platform}], "placed")
    inner = put_index(ours, [{**one.as_json(), **platform}], "inner")
    found = ours.manifest(inner)
    assert found is not None
    put_index(ours, [found[0].as_json()], "nested")
    put_index(ours, [beside.as_json()], "alone")

    for tag, what, hint in (
        ("placed", "no image, and the index lists it for linux/amd64: its layers are", "without a platform"),
        ("nested", "an index inside an index", "imagetools create"),
        ("alone", "an index without an image", "push"),
        (beside.digest, "no image: its layers are 'application/vnd.dev.cosign", "push"),
    ):
        with pytest.raises(errors.ImageMismatch, match=what) as caught:
            ours.image(tag)
        assert hint in caught.value.hint


def test_what_is_no_image_is_no_release(here: lab.Registry) -> None:
    ours = store(here.name)
    a_record(ours)
    one = put_image(ours, {"os": "linux", "architecture": "amd64"})
    strange = put_image(ours, {"os": "linux"})
    platform = {"os": "linux", "architecture": "amd64"}
    put_index(ours, [{**one.as_json(), "platform": platform}] * 2, "twice")
    put_index(ours, [{**one.as_json(), "platform": {"os": "unknown", "architecture": "unknown"}}], "none")
    put_index(ours, [{**one.as_json(), "size": one.size + 1}], "size")
    put_index(ours, [{**strange.as_json()}], "strange")

    for tag, error, what in (
        ("rev", errors.ImageMismatch, "no image: its config is"),
        ("twice", errors.ImageMismatch, "two images for 'linux/amd64'"),
        ("none", errors.ImageMismatch, "an index without an image"),
        ("size", errors.RegistryInvalid, f"expected {one.size + 1}, actual {one.size}"),
        ("strange", errors.RegistryInvalid, "architecture: Field required"),
    ):
        with pytest.raises(error, match=what):
            ours.image(tag)


def test_labels_of_another_shape_are_refused(here: lab.Registry) -> None:
    ours = store(here.name)
    for config in ({"Labels": ["a"]}, {"Labels": {"a": 1}}, "text"):
        one = put_image(ours, {"os": "linux", "architecture": "amd64", "config": config})
        found = ours.image(one.digest)
        assert found is not None

        with pytest.raises(errors.RegistryInvalid, match="no labels"):
            ours.labels(found)


def test_the_files_of_a_pushed_image_are_those_of_its_tree(here: lab.Registry, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "dist" / "empty").mkdir(parents=True)
    (root / "dist" / "loader.js").write_text("loader")
    (root / "run").write_text("#!/bin/sh")
    (root / "run").chmod(0o755)
    (root / "to").symlink_to("dist/loader.js")
    layout = tmp_path / "layout"
    images.oci_layout(layout)
    add_layer(layout, root)
    push(here, layout)
    ours = store(here.name)
    found = ours.image("1")
    assert found is not None
    digest = found.platforms["linux/amd64"].digest

    actual = layers.files(ours, digest, "opt/sf")

    assert layers.compare(tree.entries(root), actual) == []
    assert layers.files(ours, digest, "bin")["sh"] == tree.Entry(kind="link", content="busybox")
    (root / "dist" / "loader.js").write_text("another")
    assert layers.compare(tree.entries(root), actual) == ["dist/loader.js: differs"]


def add_layer(layout: Path, root: Path) -> None:
    """Put ROOT at /opt/sf into a second layer of the image in LAYOUT."""
    file = layout / "layer.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(root, "opt/sf")
    unpacked = file.read_bytes()
    blobs = layout / "blobs" / "sha256"
    index = json.loads((layout / "index.json").read_bytes())

    def read(descriptor: dict[str, str]) -> dict[str, object]:
        value: dict[str, object] = json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes())
        return value

    def keep(descriptor: dict[str, object], data: bytes) -> dict[str, object]:
        digest = registry.sha256(data)
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {**descriptor, "digest": digest, "size": len(data)}

    manifest = read(index["manifests"][0])
    config = read(manifest["config"])  # type: ignore[arg-type]
    config["rootfs"]["diff_ids"].append(registry.sha256(unpacked))  # type: ignore[index]
    manifest["config"] = keep(manifest["config"], json.dumps(config).encode())  # type: ignore[arg-type]
    manifest["layers"].append(keep(manifest["layers"][0], gzip.compress(unpacked)))  # type: ignore[index,attr-defined]
    index["manifests"][0] = keep(index["manifests"][0], json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps(index))
