"""The bundled application, built from a changed checkout and served from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import children
from lab.checkout import Checkout
from lab.vega import ROOT, Site, docker


@pytest.fixture
def bundled(built: Site, tmp_path: Path) -> Iterator[Site]:
    """A checkout of the bundled application; the packages come from the cache that runs share."""
    assert built.name
    ignore = shutil.ignore_patterns("node_modules", "dist", ".next")
    shutil.copytree(ROOT / "examples" / "sf", tmp_path / "code" / "sf", ignore=ignore)
    checkout = Checkout(tmp_path / "code" / "sf")
    checkout.git("init", "--quiet")
    checkout.commit("one")
    site = Site(folder=tmp_path, checkout=checkout)
    site.settle(more="")
    cache = ROOT / ".selfdeploy" / "npm"
    cache.mkdir(parents=True, exist_ok=True)
    (tmp_path / ".selfdeploy").mkdir()
    (tmp_path / ".selfdeploy" / "npm").symlink_to(cache)
    try:
        yield site
    finally:
        site.close()


def test_the_bundled_application_is_built_and_served_from_a_changed_checkout(bundled: Site) -> None:
    new = bundled.checkout.folder / "web" / "app" / "new"
    new.mkdir()
    (new / "page.tsx").write_text("export default function New() { return <h1>Being written</h1>; }")

    told = bundled.good("vega.up", "--build")

    version = bundled.get("/api/version")
    sf = bundled.checkout.folder
    assert "1 changed file" in told
    assert version["revision"] == bundled.checkout.git("rev-parse", "HEAD")
    assert version["dirty"] is True
    assert bundled.good("probe", "-e", "vega")
    assert bundled.checkout.git("status", "--porcelain") == "?? web/app/new/"
    own = docker("exec", bundled.name, "node", "/opt/sf/dist/loader.js", "version", "--server", "http://127.0.0.1:4000")
    assert version["revision"] in own
    assert (sf / "node_modules").is_dir()
    assert not (sf / ".selfdeploy" / "vega" / "next" / "dist").exists()
    page = docker(
        "exec", bundled.name, "node", "-e", "fetch('http://127.0.0.1:4000/new').then(r=>r.text()).then(console.log)"
    )
    assert "Being written" in page
    bundled.good("vega.down")
    children.wait_until(lambda: not bundled.left()["containers"], "its end")
