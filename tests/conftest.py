"""What tests of several kinds start from; made once in a run, however many workers it has."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import children, embedded, shared
from lab.application import Built, lighten
from lab.needed import need_engine
from lab.site import ROOT, Done, Site
from selfdeploy import config
from selfdeploy.build import base

LONG = ("rights", "chaos", "refusals", "release", "rolling", "locks")
ORDER = ("integration", *(f"cluster/test_{name}.py" for name in LONG), "cluster", "unit")
"""What takes longest comes first; the cluster is compiled meanwhile, and what is short fills the gaps at the end."""

OUTAGES = "cluster/test_outages.py"
BEFORE = "integration/test_release.py"
"""Outages need the cluster for themselves: they come here, while the other workers are busy without it."""

TRAEFIK = "integration/test_front_traefik.py"
"""It needs what is compiled with the cluster."""


def _place(item: pytest.Item) -> tuple[int, str]:
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    if path == OUTAGES:
        return 0, BEFORE.removesuffix(".py")
    if path == TRAEFIK:
        return ORDER.index("cluster"), path
    return next((place for place, start in enumerate(ORDER) if path.startswith(start)), 0), path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if shared.made("whole"):
        _read_application().close()
    if repository := shared.made("repository"):
        embedded.remove(repository)
    shared.end()


def _choose_repository() -> str:
    return shared.once("chosen", lambda: f"127.0.0.1:{children.free_port()}/sf")


@pytest.fixture(scope="session")
def repository() -> str:
    """A repository that is not the person's own, at a port of this machine where a release starts the registry."""
    need_engine()

    def prepare() -> str:
        for kind in ("base", "registry"):  # the slow part of any first release
            base.provide(config.Project(root=ROOT), kind)
        return _choose_repository()

    return shared.once("repository", prepare)


def _read_application() -> Site:
    name, repository, ports = json.loads(shared.made("application"))
    return Site(folder=shared.folder() / "site", name=name, repository=repository, ports=tuple(ports))


@pytest.fixture(scope="session")
def application() -> Site:
    """A site whose revision went through the application's real gates, without an engine; not for changing."""

    def make() -> str:
        site = Site(folder=shared.folder() / "site", repository=_choose_repository())
        site.folder.mkdir()
        site.lay_out()
        done = site.nox()
        assert done.returncode == 0, done.stderr
        return json.dumps([site.name, site.repository, site.ports])

    shared.once("application", make)
    return _read_application()


@pytest.fixture(scope="session")
def ship(application: Site) -> Path:
    """What the real gates built of the application, its routes on Node's own server; `whole` has Next's."""
    made = shared.folder() / "ship"

    def make() -> str:
        node = application.folder / ".nox" / "gates" / "programs" / "node"
        lighten(
            Built(revision=application.revision, ship=application.shipped, node=node), ROOT / "examples/sf/web", made
        )
        return str(made)

    return Path(shared.once("light", make))


@pytest.fixture(scope="session")
def whole(application: Site, repository: str) -> tuple[Site, Done]:
    """The application site after its whole release, and how that went; not for changing."""
    assert application.repository == repository

    def make() -> str:
        done = application.inv("release")
        return json.dumps([done.returncode, done.stdout, done.stderr])

    code, stdout, stderr = json.loads(shared.once("whole", make))
    return application, Done("release", code, stdout, stderr)


@pytest.fixture(scope="module")
def new_site(ship: Path, repository: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Make a site whose gates take seconds, for what is tested is not them."""
    made: list[Site] = []

    def make(**settings: object) -> Site:
        given = {"repository": repository, **settings}
        site = Site(folder=tmp_path_factory.mktemp("site"), ship=ship, **given)  # type: ignore[arg-type]
        made.append(site)
        site.lay_out()
        return site

    yield make
    for site in made:
        site.close()


@pytest.fixture(scope="module")
def site(new_site: Callable[..., Site]) -> Site:
    """A site that has released its first revision to test and prod."""
    made = new_site()
    done = made.inv("release")
    assert done.returncode == 0, done.stderr
    return made
