import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import children, vega
from lab.checkout import Checkout
from lab.needed import need
from lab.site import Done, Site


def require_engine() -> None:
    answered = subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    need([] if answered else ["a Docker engine that answers"])


@pytest.fixture(scope="session")
def repository() -> Iterator[str]:
    """A repository that is not the person's own, at a port of this machine where a release starts the registry."""
    require_engine()
    host = f"127.0.0.1:{children.free_port()}"
    yield f"{host}/sf"
    name = f"selfdeploy-registry-{host.rpartition(':')[2]}"
    children.run(["docker", "rm", "--force", "--volumes", name])
    children.run(["docker", "volume", "rm", "--force", name])
    pushed = children.run(["docker", "images", "--quiet", "--filter", f"reference={host}/*"]).decode().split()
    if pushed:
        children.run(["docker", "rmi", "--force", *set(pushed)])


@pytest.fixture(scope="session")
def whole(repository: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Done]]:
    """A site whose whole release went through the application's real gates, and how that went."""
    site = Site(folder=tmp_path_factory.mktemp("whole"), repository=repository)
    site.lay_out()
    yield site, site.inv("release")
    site.close()


@pytest.fixture(scope="session")
def ship(whole: tuple[Site, Done]) -> Path:
    """What the real gates built of the application."""
    site, done = whole
    assert done.returncode == 0, done.stderr
    return next((site.folder / ".selfdeploy" / "trees").glob("*/ship"))


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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vega.Site]:
    """A live checkout whose server is built; the others are copies of it."""
    require_engine()
    folder = tmp_path_factory.mktemp("built")
    site = vega.Site(folder=folder, checkout=Checkout.create(folder / "code" / "sf"))
    site.settle()
    try:
        site.good("vega.up", "--build")
        site.good("vega.down")
        yield site
    finally:
        site.close()


@pytest.fixture
def live(built: vega.Site, tmp_path: Path) -> Iterator[vega.Site]:
    """A project with a live checkout of its own, built, and nothing running."""
    shutil.copytree(built.checkout.folder, tmp_path / "code" / "sf")
    site = vega.Site(folder=tmp_path, checkout=Checkout(tmp_path / "code" / "sf"))
    site.settle()
    try:
        yield site
    finally:
        site.close()
