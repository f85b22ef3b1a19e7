"""What is not what it says: servers, images, state and records that pass themselves off as the release."""

import shutil
from pathlib import Path

import pytest

from lab.site import IMPATIENT, Site
from selfdeploy import manifest, registry


def store(site: Site) -> registry.Registry:
    return registry.connect(registry.Reference.parse(site.repository))


def test_a_server_that_says_another_revision_is_put_back_held_and_never_reaches_prod(clean: Site) -> None:
    good, prod = clean.revision, clean.inspect("prod")["Id"]
    bad = clean.answer_as_another_revision()

    failed = clean.inv("release")
    held = clean.inv("release")
    digest = next(word for word in held.stderr.split() if word.startswith("sha256:"))
    history = clean.inv("history", "-e", "test").stdout.splitlines()[0]
    freed = clean.inv("unhold", "-e", "test", "-d", digest)
    again = clean.inv("release")

    assert failed.returncode == 51, failed.stderr
    assert f"revision: expected {bad}, actual {'f' * 40}" in failed.stderr
    assert held.returncode == 45, held.stderr
    assert f"failed; {good[:12]} put back" in history
    assert freed.returncode == 0, freed.stderr
    assert again.returncode == 51
    assert clean.version("test")["revision"] == good
    assert clean.inspect("prod")["Id"] == prod


def test_another_image_of_the_same_revision_and_manifest_is_not_the_release(clean: Site) -> None:
    first = clean.version("test")["image"]
    file = clean.folder / "Dockerfile"
    file.write_text(f"FROM {first}\nLABEL another=image\n")
    other = f"{clean.repository}:{clean.name}"
    built = clean.docker("build", "--quiet", "--tag", other, "--file", str(file), str(clean.folder / "sf"))
    clean.swap_image("test", other)

    refused = clean.inv("probe", "-e", "test")
    promoted = clean.inv("promote", "-e", "prod")

    assert built.returncode == 0, built.stderr
    assert clean.version("test")["image"] == first
    assert refused.returncode == 50
    assert "runtime: expected image" in refused.stderr
    assert promoted.returncode == 50


def test_a_container_swapped_by_hand_for_another_digest_is_seen_and_mended(clean: Site) -> None:
    old, first = clean.version("test")["image"], clean.revision
    clean.commit("two")
    clean.inv("release")
    prod = clean.inspect("prod")["Id"]
    clean.swap_image("test", old)

    refused = clean.inv("probe", "-e", "test")
    promoted = clean.inv("promote", "-e", "prod")
    mended = clean.inv("release")

    assert refused.returncode == 50
    assert f"actual {first}" in refused.stderr
    assert promoted.returncode == 50
    assert mended.returncode == 0, mended.stderr
    assert clean.inspect("prod")["Id"] == prod
    assert clean.version("test")["revision"] == clean.revision


def test_prod_takes_nothing_when_test_has_stopped_answering(clean: Site) -> None:
    clean.commit("two")
    clean.inv("release", "--to", "test")
    prod = clean.inspect("prod")["Id"]
    clean.configure(probes=IMPATIENT)
    clean.docker("pause", clean.container("test"))

    promoted = clean.inv("promote", "-e", "prod")
    clean.docker("unpause", clean.container("test"))

    assert promoted.returncode == 50
    assert "test: not proven" in promoted.stderr
    assert clean.inspect("prod")["Id"] == prod


def test_a_manifest_that_was_changed_beside_its_server_is_seen_and_written_anew(clean: Site) -> None:
    before = clean.version("test")
    mounts = {mount["Destination"]: mount["Name"] for mount in clean.inspect("test")["Mounts"]}
    argv = ["run", "--rm", "--user", "0:0", "--volume", f"{mounts['/run/selfdeploy']}:/m", "--entrypoint", "sed"]
    change = ["-i", "s/test-unit/test-none/", "/m/sf-release-manifest.json"]
    changed = clean.docker(*argv, before["image"], *change)

    refused = clean.inv("probe", "-e", "test")
    promoted = clean.inv("promote", "-e", "prod")
    mended = clean.inv("release")

    assert changed.returncode == 0, changed.stderr
    assert refused.returncode == 50
    assert f"release: expected {before['release']}" in refused.stderr
    assert promoted.returncode == 50
    assert mended.returncode == 0, mended.stderr
    assert clean.version("test")["release"] == clean.version("prod")["release"] == before["release"]


def test_state_put_back_byte_for_byte_proves_nothing(clean: Site, tmp_path: Path) -> None:
    old, good = clean.version("test")["image"], clean.revision
    clean.commit("two")
    clean.inv("release", "--to", "test")
    shutil.copytree(clean.folder / ".selfdeploy", tmp_path / "state", symlinks=True)
    tag = store(clean).manifest(clean.revision)
    assert tag is not None
    clean.swap_image("test", old)
    shutil.rmtree(clean.folder / ".selfdeploy")
    shutil.copytree(tmp_path / "state", clean.folder / ".selfdeploy", symlinks=True)
    store(clean).put_manifest(tag[1], tag[0].media_type, clean.revision)

    promoted = clean.inv("promote", "-e", "prod")

    assert promoted.returncode == 50
    assert clean.version("prod")["revision"] == good


@pytest.mark.parametrize("how", ["another image", "a gate less", "another revision", "no record", "another subject"])
def test_a_tampered_record_is_refused_though_its_checksums_agree(clean: Site, how: str) -> None:
    good = clean.revision
    there = store(clean)
    old = there.find_record(good)
    assert old is not None
    bad = clean.commit(how)
    assert clean.inv("gates").returncode == 0
    assert clean.inv("build").returncode == 0
    assert clean.inv("manifest").returncode == 0
    record = there.find_record(bad)
    assert record is not None
    text = record.manifest.decode()
    other = manifest.parse(old.manifest).image.digest
    mine = manifest.parse(record.manifest).image.digest
    forged = {
        "another image": registry.Record(
            subject=old.subject, manifest=old.manifest.replace(good.encode(), bad.encode()), evidence=record.evidence
        ),
        "a gate less": registry.Record(
            subject=record.subject, manifest=text.replace('"test-unit"', '"test-none"').encode(), evidence=b"{}"
        ),
        "another revision": registry.Record(subject=old.subject, manifest=old.manifest, evidence=old.evidence),
        "another subject": registry.Record(
            subject=record.subject, manifest=text.replace(mine, other).encode(), evidence=b"{}"
        ),
    }.get(how)
    if forged:
        there.put_record(forged, bad)
    else:
        found = there.manifest(good)
        assert found is not None
        there.put_manifest(found[1].replace(b"selfdeploy.release", b"selfdeploy.nothing"), found[0].media_type, bad)

    refused = clean.inv("release")

    assert refused.returncode in (33, 34, 35), refused.stderr
    assert clean.version("test")["revision"] == good
