"""A release whose registry is cleaned up between its stages: promoted, rolled back and proven all the same."""

import json
from collections.abc import Callable, Iterator

import pytest

from lab import registry as lab
from lab.needed import need
from lab.site import BRISK, Site
from selfdeploy import errors, registry
from selfdeploy.build import protection
from selfdeploy.registry import artifact


@pytest.fixture(scope="module")
def store() -> Iterator[lab.Registry]:
    need(lab.MISSING)
    with lab.Registry() as started:
        yield started


def ours(store: lab.Registry) -> registry.Registry:
    return registry.connect(registry.Reference(host=store.name, repository="sf"))


def build_index(site: Site, store: lab.Registry) -> str:
    """Build HEAD's image and put it into an index, beside an attestation; return that, by digest."""
    gated, built = site.inv("gates"), site.inv("build", "--quiet")
    assert gated.returncode == 0, gated.stderr
    assert built.returncode == 0, built.stderr
    there = ours(store)
    found = there.manifest(built.stdout.strip().partition("@")[2])
    assert found is not None
    entries = [
        {**found[0].as_json(), "platform": {"os": "linux", "architecture": "amd64", "variant": None}},
        {**found[0].as_json(), "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    data = json.dumps({"schemaVersion": 2, "mediaType": artifact.INDEX[0], "manifests": entries}).encode()
    there.put_manifest(data, artifact.INDEX[0], f"pushed-{site.revision}")
    return f"{site.repository}@{registry.sha256(data)}"


@pytest.fixture(scope="module")
def two(new_site: Callable[..., Site], store: lab.Registry) -> Site:
    """A site that runs its first revision in prod and its second in test, both of them indexes."""
    made = new_site(repository=f"{store.name}/sf")
    based = made.inv("base", "--quiet")
    assert based.returncode == 0, based.stderr
    made.configure(image=f'base = "{based.stdout.strip()}"', probes=BRISK)
    for message, to in (("one", "prod"), ("two", "test")):
        made.commit(message)
        done = made.inv("release", "--image", build_index(made, store), "--to", to)
        assert done.returncode == 0, done.stderr
    return made


def clean_up(site: Site, store: lab.Registry) -> None:
    """Delete from the registry what has no tag of its own but ours, and from the engine what runs in no container."""
    there = json.loads(store.ask("/v2/sf/tags/list")[1])["tags"]
    for tag in there:
        if tag.startswith(("pushed-", "image-")):  # of builders and people: they may go
            store.drop_tag("sf", tag)
    store.collect_garbage()
    store.restart()
    listed = site.docker("image", "ls", "--digests", "--format", "{{.Digest}}", site.repository).stdout.split()
    for digest in set(listed) - {"<none>"}:
        site.docker("image", "rm", "--force", f"{site.repository}@{digest}")


def test_a_release_is_promoted_rolled_back_and_proven_after_clean_ups(two: Site, store: lab.Registry) -> None:
    first = two.git("rev-parse", "HEAD~1")
    clean_up(two, store)

    planned = two.inv("plan")
    promoted = two.inv("promote", "-e", "prod")
    proven = two.inv("probe", "-e", "prod")
    clean_up(two, store)
    back = two.inv("rollback", "-e", "prod")

    assert promoted.returncode == 0, promoted.stderr
    assert "manifest   done" in planned.stdout, planned.stdout
    assert proven.returncode == 0, proven.stderr
    assert back.returncode == 0, back.stderr
    assert two.version("prod")["revision"] == first
    assert "registry " not in two.inv("status").stdout
    again = two.inv("release")
    assert again.returncode == 0, again.stderr
    assert two.version("prod")["revision"] == two.revision


def test_plan_and_status_name_a_lost_protection_tag_a_release_restores_it(two: Site, store: lab.Registry) -> None:
    assert two.inv("release").returncode == 0
    image = ours(store).image(two.version("prod")["image"].partition("@")[2])
    assert image is not None
    tag = protection.tag(image.platforms["linux/amd64"].digest)
    store.drop_tag("sf", tag)
    before = two.ids()

    planned, status = two.inv("plan"), two.inv("status")
    released = two.inv("release")

    assert f"to do    on record, and protection tag {tag} gone" in planned.stdout, planned.stdout
    assert f"registry {two.revision[:12]}, which runs here: protection tag {tag} gone" in status.stdout, status.stdout
    assert released.returncode == 0, released.stderr
    assert ours(store).digest(tag)
    assert two.ids() == before
    assert "gone" not in two.inv("plan").stdout + two.inv("status").stdout


def test_a_promotion_puts_a_protection_tag_back(two: Site, store: lab.Registry) -> None:
    assert two.inv("release").returncode == 0
    digest = two.version("prod")["image"].partition("@")[2]
    store.drop_tag("sf", protection.tag(digest))

    promoted = two.inv("promote", "-e", "prod")

    assert promoted.returncode == 0, promoted.stderr
    assert ours(store).digest(protection.tag(digest))


def test_an_image_whose_layers_the_registry_only_remembers_is_not_taken_for_pushed(
    new_site: Callable[..., Site],
) -> None:
    need(lab.MISSING)
    with lab.Registry(cache=True) as caching:
        site = new_site(repository=f"{caching.name}/sf")
        based = site.inv("base", "--quiet")
        site.configure(image=f'base = "{based.stdout.strip()}"', probes=BRISK)
        site.commit("one")
        assert site.inv("gates").returncode == 0
        first = site.inv("build", "--quiet")
        assert first.returncode == 0, first.stderr
        for tag in json.loads(caching.ask("/v2/sf/tags/list")[1])["tags"]:
            caching.drop_tag("sf", tag)
        caching.collect_garbage()
        site.commit("two")  # shares layers with the first, which the engine does not push again
        assert site.inv("gates").returncode == 0

        lost = site.inv("build")
        caching.restart()
        found = site.inv("build")

        assert lost.returncode == errors.PushLost.exit_code, lost.stderr
        assert "restart the registry" in lost.stderr
        assert found.returncode == 0, found.stderr
