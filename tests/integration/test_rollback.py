"""Going back: what is kept for it, from where it comes, and what must not come back."""

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import registry
from lab.needed import need
from lab.site import Site


@pytest.fixture(scope="module")
def store() -> Iterator[registry.Registry]:
    need(registry.MISSING)
    with registry.Registry() as started:
        yield started


@pytest.fixture(scope="module")
def three(new_site: Callable[..., Site], store: registry.Registry) -> Site:
    """A site that has released three revisions; the first one's image has another name on the engine as well."""
    made = new_site(repository=f"{store.name}/sf")
    based = made.inv("base", "--quiet")
    assert based.returncode == 0, based.stderr
    made.configure(image=f'base = "{based.stdout.strip()}"', probes="deadline = 30\nconsecutive = 2")
    for message in ("one", "two", "three"):
        made.commit(message)
        done = made.inv("release")
        assert done.returncode == 0, done.stderr
        if message == "one":
            made.docker("tag", made.version("prod")["image"], f"somebody-else/{made.name}:1")
    return made


@contextlib.contextmanager
def moved(path: Path) -> Iterator[None]:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    yield
    aside.rename(path)


def blob(store: registry.Registry, digest: str) -> Path:
    number = digest.removeprefix("sha256:")
    return store.data / "docker" / "registry" / "v2" / "blobs" / "sha256" / number[:2] / number


def digests(site: Site) -> list[str]:
    told = site.docker("image", "ls", "--digests", "--format", "{{.Digest}}", site.repository).stdout.split()
    return sorted({digest for digest in told if digest.startswith("sha256:")})


def other(site: Site) -> str:
    """The digest that the engine has and prod does not run: the one that a rollback brings."""
    return next(digest for digest in digests(site) if digest not in site.version("prod")["image"])


def test_the_engine_keeps_the_present_and_previous_image_and_unrelated_ones(three: Site) -> None:
    present = three.version("prod")["image"].partition("@")[2]

    kept = digests(three)
    other = three.docker("image", "inspect", f"somebody-else/{three.name}:1")
    three.docker("image", "rm", f"somebody-else/{three.name}:1")

    assert len(kept) == 2
    assert present in kept
    assert other.returncode == 0


def test_the_registry_keeps_every_image_under_a_tag_of_its_own(three: Site, store: registry.Registry) -> None:
    image = three.version("prod")["image"].partition("@")[2]

    status, _ = store.ask(f"/v2/sf/manifests/kept-{image.removeprefix('sha256:')}", headers={"Accept": "*/*"})

    assert status == 200


def test_going_back_takes_the_registry_and_the_environment_and_nothing_else(three: Site, tmp_path: Path) -> None:
    before = three.git("rev-parse", "HEAD~1")
    three.docker("image", "rm", "--force", f"{three.repository}@{other(three)}")
    for file in ("tasks.py", "deploy.toml"):
        shutil.copy(three.folder / file, tmp_path / file)
    elsewhere = Site(folder=tmp_path, name=three.name, repository=three.repository, ports=three.ports)

    done = elsewhere.inv("rollback", "-e", "prod")

    assert done.returncode == 0, done.stderr
    assert before in done.stdout
    assert three.version("prod")["revision"] == before


def test_going_back_works_while_the_engine_alone_has_the_image_and_says_so(
    three: Site, store: registry.Registry
) -> None:
    before, gone = three.version("prod")["image"], other(three)

    with moved(blob(store, gone)):
        done = three.inv("rollback", "-e", "prod")
    between = three.version("prod")["image"]
    store.stop()
    silent = three.inv("rollback", "-e", "prod")
    store.start()

    assert done.returncode == 0, done.stderr
    assert f"no longer has {three.repository}@{gone}" in done.stdout
    assert between.endswith(gone)
    assert silent.returncode == 0, silent.stderr
    assert "is not known" in silent.stdout
    assert three.version("prod")["image"] == before


def test_an_image_that_nobody_has_any_more_is_named_before_anything_is_changed(
    three: Site, store: registry.Registry
) -> None:
    gone = other(three)
    before, history = three.ids(), three.inv("history", "-e", "prod").stdout

    with moved(blob(store, gone)):
        names = three.docker("image", "inspect", "--format", '{{join .RepoTags " "}}', f"{three.repository}@{gone}")
        three.docker("image", "rm", "--force", f"{three.repository}@{gone}", *names.stdout.split())
        refused = three.inv("rollback", "-e", "prod")

    assert refused.returncode == 39, refused.stderr
    assert gone in refused.stderr
    assert "--to" in refused.stderr
    assert three.ids() == before
    assert three.inv("history", "-e", "prod").stdout == history


def test_an_image_that_has_lost_a_part_is_not_promoted(three: Site, store: registry.Registry) -> None:
    prod = three.inspect("prod")["Id"]
    three.commit("four")
    assert three.inv("release", "--to", "test").returncode == 0
    image = three.version("test")["image"].partition("@")[2]
    layer = next(layer for layer in _layers(store, image) if blob(store, layer).exists())

    with moved(blob(store, layer)):
        refused = three.inv("promote", "-e", "prod")
    untouched = three.inspect("prod")["Id"]
    promoted = three.inv("promote", "-e", "prod")

    assert refused.returncode == 39, refused.stderr
    assert layer in refused.stderr
    assert untouched == prod
    assert promoted.returncode == 0, promoted.stderr


def _layers(store: registry.Registry, image: str) -> list[str]:
    data = (blob(store, image) / "data").read_text()
    return [word.strip('",') for word in data.split() if word.startswith('"sha256:')][1:]


def test_what_is_on_hold_and_runs_all_the_same_is_named_and_goes_no_further(three: Site) -> None:
    good, prod = three.revision, three.inspect("prod")["Id"]
    bad = three.answer_as_another_revision()
    assert three.inv("release").returncode == 51
    held = three.inv("release").stderr
    digest = next(word for word in held.split() if word.startswith("sha256:")).rstrip(":")
    three.swap_image("test", f"{three.repository}@{digest}")

    status = three.inv("status")
    probed = three.inv("probe", "-e", "test")
    promoted = three.inv("promote", "-e", "prod", "--revision", bad)
    back = three.inv("rollback", "-e", "test", "--to", good)

    assert f"runs {digest}, which is on hold here" in status.stdout
    assert probed.returncode == 45, probed.stderr
    assert f"runs {digest}, which is on hold here" in probed.stderr
    assert f"inv rollback -e test --to {good[:12]}" in probed.stderr
    assert promoted.returncode == 45, promoted.stderr
    assert three.inspect("prod")["Id"] == prod
    assert back.returncode == 0, back.stderr
    assert three.version("test")["revision"] == good


def test_history_tells_how_long_each_stage_took_and_what_was_cut_off(three: Site) -> None:
    told = three.inv("history", "-e", "prod", "--json").stdout

    assert '"seconds": {"' in told
    line = next(line for line in three.inv("history", "-e", "prod").stdout.splitlines() if ", image " in line)
    for stage in ("preflight", "gates", "image", "manifest", "test", "prod"):
        assert re.search(rf"[(, ]{stage} [0-9]", line), line


def test_nothing_was_ever_deleted_from_the_registry(three: Site, store: registry.Registry) -> None:
    repository = three.repository.partition("/")[2]
    log = [line for line in store.log.read_text(errors="replace").splitlines() if f"/v2/{repository}/" in line]

    assert any(f'"PUT /v2/{repository}/manifests/' in line for line in log)
    # An upload that is begun to see whether we may, and then dropped, is none of what is kept.
    assert [line for line in log if '"DELETE ' in line and "/blobs/uploads/" not in line] == []
