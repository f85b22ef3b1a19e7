"""A registry that loses what runs: the next release pushes it again from the engine, and builds nothing."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import registry as lab
from lab.needed import need
from lab.site import BRISK, Site
from selfdeploy import errors, registry
from selfdeploy.build import protection

KEPT = re.compile(r"((kept|release|image)-[0-9a-f]+|[0-9a-f]{40}|sha256-[0-9a-f]+\.att)")
"""The pattern of versions to keep in docs/forgejo.md."""


@pytest.fixture(scope="module")
def store() -> Iterator[lab.Registry]:
    need(lab.MISSING)
    with lab.Registry() as started:
        yield started


@pytest.fixture(scope="module")
def two(new_site: Callable[..., Site], store: lab.Registry) -> Site:
    """A site that runs its second revision in both environments, and can go back to the first."""
    made = new_site(repository=f"{store.name}/sf")
    based = made.inv("base", "--quiet")
    assert based.returncode == 0, based.stderr
    made.configure(image=f'base = "{based.stdout.strip()}"', probes=BRISK)
    for message in ("one", "two"):
        made.commit(message)
        done = made.inv("release")
        assert done.returncode == 0, done.stderr
    return made


def ours(store: lab.Registry) -> registry.Registry:
    return registry.connect(registry.Reference(host=store.name, repository="sf"))


def tags(store: lab.Registry) -> list[str]:
    return sorted(json.loads(store.ask("/v2/sf/tags/list")[1])["tags"] or [])


def running(site: Site) -> str:
    digest: str = site.version("prod")["image"].partition("@")[2]
    return digest


def lose(store: lab.Registry, *names: str) -> None:
    """Have STORE lose the tags NAMES, and all that nothing names then."""
    for name in names:
        store.drop_tag("sf", name)
    store.collect_garbage()
    store.restart()


def of_image(store: lab.Registry, digest: str) -> list[str]:
    """Return the tags of the image DIGEST."""
    return [name for name in tags(store) if ours(store).digest(name) == digest]


def test_a_release_has_three_tags_and_the_pattern_of_the_docs_keeps_each(two: Site, store: lab.Registry) -> None:
    found = tags(store)
    documented = Path(__file__).parents[2] / "docs" / "forgejo.md"

    kinds = sorted(name.partition("-")[0] if "-" in name else "revision" for name in found)

    assert kinds == ["image", "image", "kept", "kept", "revision", "revision"]
    assert all(KEPT.fullmatch(name) for name in found)
    assert KEPT.pattern in documented.read_text()
    assert two.inv("plan").stdout.count("done") == 6


def test_an_image_that_the_registry_lost_is_pushed_again_and_nothing_is_built(two: Site, store: lab.Registry) -> None:
    digest, before = running(two), two.ids()
    lose(store, *of_image(store, digest))
    assert digest in ours(store).absent(digest)

    status, doctor = two.inv("status"), two.inv("doctor")
    again = two.inv("release")

    told = f"{two.revision[:12]}, which runs here: the registry lacks {digest}"
    assert told in status.stdout, status.stdout
    assert told in doctor.stdout, doctor.stdout
    assert again.returncode == 0, again.stderr
    assert f"{two.revision[:12]}: the registry had lost {digest}" in again.stderr
    assert f"passed on {two.revision[:12]}, on record" in again.stderr
    assert ours(store).absent(digest) == []
    assert ours(store).digest(protection.tag(digest)) == digest
    assert two.ids() == before
    assert "registry " not in two.inv("status").stdout
    assert "nothing to do" in two.inv("release").stderr


def test_what_a_rollback_needs_comes_back_with_the_next_release_too(two: Site, store: lab.Registry) -> None:
    first = two.git("rev-parse", "HEAD~1")
    record = ours(store).find_record(first)
    assert record is not None
    digest = record.subject.digest
    lose(store, *of_image(store, digest))

    status = two.inv("status")
    again = two.inv("release")

    assert f"{first[:12]}, which inv rollback brings back: the registry lacks {digest}" in status.stdout
    assert again.returncode == 0, again.stderr
    assert ours(store).absent(digest) == []
    assert ours(store).digest(protection.tag(digest)) == digest


def test_a_release_lost_in_the_registry_is_recorded_with_its_running_image(two: Site, store: lab.Registry) -> None:
    digest, before, config = running(two), two.ids(), two.folder / "deploy.toml"
    text = config.read_text()
    lose(store, two.revision, *of_image(store, digest))
    assert ours(store).digest(two.revision) == ""

    unable = '[image]\nbuilder = "command"\ncommand.argv = ["false", "{digest_file}"]'
    config.write_text(text.replace("[image]", unable))
    again = two.inv("release")
    config.write_text(text)

    record = ours(store).find_record(two.revision)
    assert again.returncode == 0, again.stderr
    assert record is not None
    assert record.subject.digest == digest
    assert two.ids() == before
    assert "registry " not in two.inv("status").stdout


def test_an_image_that_no_engine_has_any_more_is_named_and_stays_lost(two: Site, store: lab.Registry) -> None:
    first = two.git("rev-parse", "HEAD~1")
    record = ours(store).find_record(first)
    assert record is not None
    digest = record.subject.digest
    lose(store, *of_image(store, digest))
    names = two.docker("image", "inspect", "--format", '{{join .RepoTags " "}}', f"{two.repository}@{digest}")
    two.docker("image", "rm", "--force", f"{two.repository}@{digest}", *names.stdout.split())

    released = two.inv("release")
    refused = two.inv("rollback", "-e", "prod")

    assert released.returncode == 0, released.stderr
    assert f"{first[:12]}: the registry lacks {digest} of it, and no engine here gives it back" in released.stderr
    assert refused.returncode == errors.ImageGone.exit_code, refused.stderr
