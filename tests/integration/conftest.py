import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import vega
from lab.checkout import Checkout
from lab.needed import need_engine
from lab.site import Site


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vega.Site]:
    """A live checkout whose server is built; the others are copies of it."""
    need_engine()
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


@pytest.fixture
def clean(site: Site) -> Iterator[Site]:
    """The site, both environments running its HEAD; afterwards they run again what prod has taken meanwhile."""
    before = site.ids()
    yield site
    site.configure()
    site.git("checkout", "--quiet", "--force", "-B", "main", site.version("prod")["revision"])
    site.git("clean", "--quiet", "--force", "-d")
    if site.ids() != before:
        done = site.inv("release", "--older")
        assert done.returncode == 0, done.stderr
