"""The SBOM of a release: npm's list and dpkg's, with equal bytes for equal trees, signed and bounded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.values import a_manifest, a_project, an_environment
from selfdeploy import contents, errors, registry, source, trust
from selfdeploy.build import bom
from selfdeploy.contents.bom import merge
from selfdeploy.gates import receipt
from selfdeploy.registry import artifact
from selfdeploy.trust import envelope, keys, statement

DPKG = b"""Package: tini
Status: install ok installed
Architecture: amd64
Version: 0.19.0-1+b1
Description: tiny but valid init
 Version: 9 of nothing

Package: libc6
Status: hold ok installed
Architecture: amd64
Version: 1:2.36-9+deb12u10

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
SYSTEM = b'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
BOTH = {bom.STATUS: DPKG, "usr/lib/os-release": SYSTEM}


def component(ref: str, **more: object) -> dict[str, Any]:
    """One component as npm prints it: its name is that of the folder."""
    name, _, version = ref.rpartition("@")
    return {"bom-ref": ref, "name": "folder", "version": version, "purl": f"pkg:npm/{name}@{version}", **more}


def printed(root: str, *refs: str, serial: str = "1", edges: Mapping[str, list[str]] = {}) -> dict[str, Any]:
    """What `npm sbom` prints, with all that differs from run to run."""
    return {
        "serialNumber": serial,
        "metadata": {"timestamp": serial, "component": component(root)},
        "components": [component(ref, scope="optional", properties=[]) for ref in refs],
        "dependencies": [
            {"ref": root, "dependsOn": [*refs]},
            *({"ref": ref, "dependsOn": to} for ref, to in edges.items()),
        ],
    }


def whole(*listed: dict[str, Any], tree: str = "t", files: Mapping[str, bytes] = BOTH) -> bytes:
    return bom.encode(bom.make(merge(listed), tree, list(bom.debian(files, "image")), "24.19.0"))


def test_equal_trees_give_equal_bytes_whatever_npm_adds_to_each_run() -> None:
    first = whole(printed("sf@1", "ms@2", "@s/a@1", serial="1"), printed("web@1", "next@16"))
    again = whole(printed("sf@1", "@s/a@1", "ms@2", serial="2"), printed("web@1", "next@16", serial="3"))

    assert first == again
    assert json.loads(first)["metadata"]["component"]["name"] == "sf"
    assert {"name": "@s/a", "version": "1"}.items() <= json.loads(first)["components"][0].items()


@pytest.mark.parametrize(
    "changed",
    [
        whole(printed("sf@1", "ms@3")),
        whole(printed("sf@1", "ms@2", "left-pad@1")),
        whole(printed("sf@1")),
        whole(printed("sf@1", "ms@2"), printed("web@1")),
        whole(printed("sf@1", "ms@2"), tree="other files of the same packages"),
        whole(printed("sf@1", "ms@2"), files={**BOTH, bom.STATUS: DPKG.replace(b"u10", b"u11")}),
        whole(printed("sf@1", "ms@2"), files={}),
    ],
)
def test_a_change_of_what_ships_changes_the_sbom_and_its_serial_number(changed: bytes) -> None:
    before = whole(printed("sf@1", "ms@2"))

    assert changed != before
    assert json.loads(changed)["serialNumber"] != json.loads(before)["serialNumber"]


def test_the_packages_of_a_staged_host_are_added_to_the_roots_each_once() -> None:
    listed = merge([printed("sf@1", "ms@2"), printed("web@1", "ms@2", "next@16", edges={"ms@2": ["next@16"]})])

    assert listed["component"]["bom-ref"] == "sf@1"
    assert [each["bom-ref"] for each in listed["components"]] == ["ms@2", "next@16", "web@1"]
    assert {"ref": "ms@2", "dependsOn": ["next@16"]} in listed["dependencies"]


@pytest.mark.parametrize("output", [[], {}, {"metadata": {"component": {}}}, {**printed("a@1"), "components": [1]}])
def test_output_of_another_form_is_refused_in_our_words(output: object) -> None:
    with pytest.raises(errors.SourceUnusable, match="npm sbom: unexpected output: "):
        merge([output])


def test_dpkg_lists_what_is_installed_and_the_system_it_is_of() -> None:
    found = list(bom.debian(BOTH, "image"))

    assert [each.get("purl", each["bom-ref"]) for each in found] == [
        "os:debian@12",
        "pkg:deb/debian/tini@0.19.0-1%2Bb1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@1:2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12",
    ]


def test_an_image_without_dpkg_has_a_list_in_parts_or_none() -> None:
    part = b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"

    parts = {f"{bom.PARTS}/base": part, f"{bom.PARTS}/base.md5sums": b"d41d8cd9  etc/x\n"}

    assert [each["name"] for each in bom.debian(parts, "image")] == ["debian", "base-files"]
    assert list(bom.debian({"usr/lib/os-release": SYSTEM}, "image")) == []


@pytest.mark.parametrize("name", ["../evil", "a b", "", "x" * 300])
def test_a_damaged_list_is_refused_and_names_the_image(name: str) -> None:
    files = {bom.STATUS: f"Package: {name or '?'}\nStatus: install ok installed\nVersion: 1\n".encode()}

    with pytest.raises(errors.SbomUnusable, match="^image: var/lib/dpkg/status: no package: "):
        list(bom.debian(files, "image"))


def test_the_layers_of_an_image_built_here_are_read_once_for_each_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = registry.Image(digest="sha256:1", media_type="", platforms={})
    read: list[str] = []

    def find(base: str) -> list[dict[str, Any]]:
        def read_debian(*_: object) -> list[dict[str, Any]]:
            read.append(base)
            return [{"bom-ref": base}]

        monkeypatch.setattr(bom, "read_debian", read_debian)
        return bom.find_debian(a_registry(), image, {"linux/amd64": base}, tmp_path)

    for base in ("r@1", "r@1", "r@2", "r@1", "", ""):
        assert find(base) == [{"bom-ref": base}]
    assert read == ["r@1", "r@2", "", ""]
    for file in tmp_path.iterdir():
        file.write_text("{")
    assert find("r@1") == [{"bom-ref": "r@1"}]
    assert read[-1] == "r@1"


def a_registry() -> registry.Registry:
    return registry.connect(registry.Reference(host="127.0.0.1:1", repository="sf"))


class Npm(contents.Npm):
    """An npm that lists the package.json files it is shown."""

    def list_components(self, root: Path) -> Any:  # noqa: ANN401 -- any JSON
        files = [json.loads(file.read_bytes()) for file in root.glob("node_modules/*/package.json")]
        assert not any({"devDependencies", "workspaces", "_secret"} & file.keys() for file in files)
        assert all((root / "node_modules" / name).is_dir() for file in files for name in file["dependencies"])
        told = json.loads((root / "package.json").read_bytes())
        return printed(f"{told['name']}@1", *(f"{each['name']}@{each['version']}" for each in files))


def ship(root: Path, version: str) -> Path:
    packages = {
        "": {"name": "sf", "devDependencies": {"typescript": "5"}, "workspaces": ["packages/*"]},
        "packages/own": {"name": "own", "version": "1"},
        "packages/own/node_modules/deep": {"name": "deep", "version": "1"},
        "node_modules/ms": {"name": "ms", "version": version, "dependencies": {"gone": "1", "own": "7"}, "_secret": 1},
        "dist/web/standalone": {"name": "web"},
        "dist/web/standalone/node_modules/next": {"name": "next", "version": "16"},
    }
    for place, package in packages.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / place / "package.json").write_text(json.dumps(package))
        (root / place / "index.js").write_text("x")
    (root / "node_modules" / "own").symlink_to("../packages/own")
    return root


def test_npm_lists_a_copy_of_the_shipped_tree_and_of_each_staged_host(tmp_path: Path) -> None:
    npm = Npm(environment={})

    first = contents.list_packages(ship(tmp_path / "one", "2"), npm, tmp_path)
    again = contents.list_packages(ship(tmp_path / "two", "2"), npm, tmp_path)
    other = contents.list_packages(ship(tmp_path / "three", "3"), npm, tmp_path)

    assert [each["bom-ref"] for each in first["components"]] == ["ms@2", "next@16", "own@1", "web@1"]
    assert first == again
    assert first != other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three", "two"]


def gated(folder: Path, facts: dict[str, Any]) -> receipt.GatedTree:
    revision = source.Revision.__new__(source.Revision)
    made = receipt.Receipt(key="k", tree="t", gates={}, contents={"sbom": facts})
    return receipt.GatedTree(revision=revision, ship=folder / "image" / "opt" / "sf", digest="t", receipt=made)


def test_a_list_that_npm_refused_or_somebody_changed_is_no_sbom(tmp_path: Path) -> None:
    data = json.dumps(merge([printed("sf@1", "ms@2")])).encode()
    facts = {"npm": 1, "sha256": hashlib.sha256(data).hexdigest()}
    (tmp_path / "packages.json").write_bytes(data)

    assert gated(tmp_path, facts).packages["component"]["name"] == "sf"
    (tmp_path / "packages.json").write_bytes(data.replace(b"ms@2", b"ms@1"))
    with pytest.raises(errors.SbomUnusable, match="not what the gates left"):
        assert gated(tmp_path, facts).packages
    with pytest.raises(errors.SbomUnusable, match="npm sbom: exit code 1"):
        assert gated(tmp_path, {"why": "npm sbom: exit code 1"}).packages


CONTENT = json.loads(whole(printed("sf@1", "ms@2")))


def test_a_signed_sbom_is_read_back_and_one_of_another_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.make(tmp_path / "ours", "")
    monkeypatch.setenv(keys.FILE, str(tmp_path / "ours.key"))
    project = a_project(tmp_path, trust={"keys": ["ours.pub"]}, environments={"test": an_environment(4101)})
    made, evidence = a_manifest(), b"{}"
    image = made.image.model_copy(update={"digest": "sha256:" + "e" * 64})
    other = trust.sign(project, made.model_copy(update={"image": image}), evidence, CONTENT)
    envelopes = trust.sign(project, made, evidence, CONTENT)

    signed = trust.verify(project, made, evidence, envelopes, "x")
    bare = trust.verify(project, made, evidence, envelopes[:2], "x")

    assert signed.sbom == CONTENT
    assert bare == replace(signed, sbom=None)
    assert len(signed.envelope) < len(envelopes[2])  # an environment's record keeps the release's statement alone
    assert statement.is_release(envelope.open_with(signed.envelope.encode(), keys.read(project), "x").payload)
    with pytest.raises(errors.SignatureInvalid, match="of another release: its image"):
        trust.verify(project, made, evidence, (*envelopes[:2], other[2]), "x")
    with pytest.raises(errors.SbomUnusable, match="at most 8388608"):
        trust.sign(project, made, evidence, {"components": "x" * envelope.LARGEST})


def parts(*sizes: int) -> bytes:
    layers = [(artifact.MANIFEST, 2), (artifact.EVIDENCE, 2), *((artifact.ENVELOPE, size) for size in sizes)]
    subject = artifact.Descriptor(media_type=artifact.SINGLE[0], digest=artifact.sha256(b""), size=0)
    record = artifact.encode_record(artifact.Record(subject=subject, manifest=b"{}", evidence=b"{}"))
    described = [
        artifact.Descriptor(media_type=kind, digest=artifact.sha256(b""), size=size).as_json() for kind, size in layers
    ]
    return json.dumps({**json.loads(record), "layers": described}).encode()


@pytest.mark.parametrize("sizes", [(100 << 20,), (5 << 20, 5 << 20), (1,) * 9])
def test_a_record_with_too_many_bytes_of_signatures_is_refused_unread(sizes: tuple[int, ...]) -> None:
    assert len(artifact.decode_record(parts(1000, 1000, 5 << 20), "x").envelopes) == 3
    with pytest.raises(errors.RecordInvalid, match="at most 8 of 8388608 together"):
        artifact.decode_record(parts(*sizes), "x")
