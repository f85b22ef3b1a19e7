"""All that a build of the live checkout wrote is swapped in, and all of it comes back; the person's files stay."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from lab import children
from lab.checkout import Checkout
from lab.vega import Site, docker
from selfdeploy import errors
from selfdeploy.vega import live, output, places, swap

BUILD = """
const { WORD } = await import("./word.mjs");
const out = (name, text) => {
  mkdirSync(name.replace(/[^/]*$/, "") || ".", { recursive: true });
  writeFileSync(name, text);
};
out("packages/core/dist/word.json", JSON.stringify({ word: WORD }));
if (WORD === "one") out("packages/old/dist/word.json", "{}");
out("node_modules/.package-lock.json", "{}");
out("node_modules/generated/word.json", JSON.stringify({ word: WORD }));
out("data/cache.json", WORD);
out(".env", "BUILD=1");
out("notes.txt", "not ignored");
"""
SERVE = """
  "/api/live-state": () => Object.fromEntries(["packages/core/dist", "node_modules/generated"].map(
    (at) => [at, JSON.parse(readFileSync(`/opt/sf/${at}/word.json`)).word])),
  "/api/write":"""


@pytest.fixture
def site(live: Site) -> Site:
    """A live checkout that builds into more folders than dist, with files of the person's beside them."""
    checkout = live.checkout
    ignored = "dist/\nnode_modules/\ndata\n.env\n/mine/\n"
    (checkout.folder / ".gitignore").write_text(ignored)
    (checkout.folder / "word.mjs").write_text('export const WORD = "one";\n')
    (checkout.folder / "build.mjs").write_text((checkout.folder / "build.mjs").read_text() + BUILD)
    checkout.edit('\n  "/api/write":', SERVE)
    for folder in ("core", "old"):
        (checkout.folder / "packages" / folder).mkdir(parents=True)
        (checkout.folder / "packages" / folder / "package.json").write_text("{}")
    checkout.commit("packages")
    for name, text in PERSONAL.items():
        (checkout.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.folder / name).write_text(text)
    return live


PERSONAL = {".env": "SECRET=1", "data/app.db": "rows", "mine/notes": "mine", "packages/core/dist/mine.txt": "mine"}


def personal(site: Site) -> dict[str, str]:
    return {name: (site.checkout.folder / name).read_text() for name in PERSONAL}


def test_a_build_in_several_folders_is_served_whole_and_leaves_the_person_s_files(site: Site) -> None:
    first = site.inv("vega.up", "--build")
    served = site.get("/api/live-state")
    had_old = (site.checkout.folder / "packages" / "old" / "dist").exists()
    site.checkout.edit('"one"', '"two"', "word.mjs")

    site.good("vega.restart", "--build")

    folder = site.checkout.folder
    assert first.returncode == 0, first.stderr
    assert "notes.txt" in first.stderr
    assert "yours stays: .env" in first.stderr
    assert served == {"packages/core/dist": "one", "node_modules/generated": "one"}
    assert site.get("/api/live-state") == {"packages/core/dist": "two", "node_modules/generated": "two"}
    assert (folder / "data" / "cache.json").read_text() == "two"
    assert personal(site) == PERSONAL
    assert had_old
    assert not (folder / "packages" / "old" / "dist").exists()
    assert not (folder / "notes.txt").exists()
    assert site.checkout.git("status", "--porcelain") == "M word.mjs"
    assert site.good("probe", "-e", "vega")


def test_a_build_that_does_not_prove_itself_is_put_back_in_every_folder(site: Site) -> None:
    site.good("vega.up", "--build")
    before = site.get("/api/live-state")
    site.checkout.edit('"one"', '"two"', "word.mjs")
    site.checkout.edit('const WORD = "one";', 'const WORD = "one"; throw new Error("no good");')

    failed = site.inv("vega.restart", "--build")

    assert failed.returncode == 51, failed.stderr
    assert site.get("/api/live-state") == before
    assert (site.checkout.folder / "packages" / "old" / "dist").exists()
    assert personal(site) == PERSONAL
    recorded = json.loads((site.checkout.folder / swap.RECORD).read_bytes())
    assert "packages/old/dist/word.json" in recorded


def test_a_swap_that_is_killed_is_finished_by_the_next_command_in_every_folder(site: Site) -> None:
    site.good("vega.up", "--build")
    site.checkout.edit('"one"', '"two"', "word.mjs")
    running = site.running()
    with site.start("vega.restart", "--build") as killed:
        children.wait_until(lambda: site.running() != running, "the old one's end", seconds=120)
        killed.send_signal(signal.SIGKILL)

    site.good("vega.restart", "--build")

    assert set(site.get("/api/live-state").values()) == {"two"}
    assert personal(site) == PERSONAL
    assert not list(swap.room(site.checkout.folder).glob(swap.HALF))


def test_a_link_of_the_person_s_in_the_way_is_refused_while_the_server_runs_on(site: Site) -> None:
    site.good("vega.up", "--build")
    running, folder = site.running(), site.checkout.folder
    (folder / "data").rename(site.folder / "elsewhere")
    (folder / "data").symlink_to(site.folder / "elsewhere")

    refused = site.inv("vega.restart", "--build")

    assert refused.returncode == errors.MountRefused.exit_code, refused.stderr
    assert "/data: git ignores it" in refused.stderr
    assert site.running() == running
    assert (site.folder / "elsewhere" / "app.db").read_text() == "rows"


def test_what_a_build_wrote_in_a_submodule_is_served(site: Site, tmp_path: Path) -> None:
    core = Checkout.create(tmp_path / "core")
    (core.folder / ".gitignore").write_text("dist/\n")
    core.commit("what it ignores")
    site.checkout.git("rm", "--quiet", "-r", "packages/core")
    shutil.rmtree(site.checkout.folder / "packages" / "core")
    site.checkout.add_submodule("packages/core", core.folder)
    refused = site.inv("vega.up", "--build")
    settings = site.folder / "deploy.toml"
    settings.write_text(settings.read_text().replace("[source]", '[source]\nsubmodules = "checkout"'))

    site.good("vega.up", "--build")
    first = site.get("/api/live-state")
    (site.checkout.folder / "word.mjs").write_text('export const WORD = "two";\n')
    site.good("vega.restart", "--build")

    assert refused.returncode == errors.SourceUnusable.exit_code, refused.stderr
    assert "packages/core: a submodule" in refused.stderr
    assert (first["packages/core/dist"], site.get("/api/live-state")["packages/core/dist"]) == ("one", "two")
    assert site.checkout.git("status", "--porcelain") == "M word.mjs"
    assert site.inv("probe", "-e", "vega").returncode == 0


def test_a_server_that_git_does_not_ignore_is_refused_before_anything_is_swapped(site: Site) -> None:
    site.good("vega.up", "--build")
    running = site.running()
    (site.checkout.folder / ".gitignore").write_text("node_modules/\ndata\n.env\n/mine/\n")

    refused = site.inv("vega.restart", "--build")

    assert refused.returncode == errors.BuildStale.exit_code, refused.stderr
    assert ".gitignore" in refused.stderr
    assert site.running() == running
    assert docker("inspect", "--format", "{{.State.Running}}", running) == "true"


def a_build(checkout: Checkout, tmp_path: Path) -> output.Output:
    """Return what the files of tmp_path/export are to CHECKOUT as it is."""
    made = live.read(checkout.folder, objects=tmp_path / "objects")
    return output.read(made, tmp_path / "export", tmp_path / "objects")


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_git_s_own_rules_say_what_a_build_s_output_is(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "sf")
    (checkout.folder / ".gitignore").write_text("dist/\n*.log\n!keep.log\n")
    put(checkout.folder, "src/a.ts", "src/deep/.gitignore", "dist/forced.js", "äö/b.ts")
    (checkout.folder / "src" / "deep" / ".gitignore").write_text("*.js\n")
    checkout.git("add", "--force", "dist/forced.js")
    checkout.commit("two")
    (checkout.folder / ".git" / "info" / "exclude").write_text("/private\n")
    export = tmp_path / "export"
    put(export, "src/a.ts", "dist/forced.js", "dist/made.js", "dist/node_modules/x/y.js", "äö/dist/c\nd.js", "private")
    put(export, "src/deep/e.js", "src/deep/e.txt", "new/a.log", "new/keep.log", ".selfdeploy/x.log")

    found = a_build(checkout, tmp_path)

    made = {"dist/made.js", "dist/node_modules", "äö/dist/c\nd.js", "private", "src/deep/e.js", "new/a.log"}
    assert found.made == made
    assert found.unignored == ("new/keep.log", "src/deep/e.txt")
    assert "dist/forced.js" in found.tracked


def test_sf_in_a_folder_of_its_repository_is_read_by_the_rules_above_it(tmp_path: Path) -> None:
    whole = Checkout.create(tmp_path / "repository")
    (whole.folder / ".gitignore").write_text("apps/sf/out/\n")
    put(whole.folder, "apps/sf/src/a.ts")
    whole.commit("two")
    put(tmp_path / "export", "src/a.ts", "out/b.js", "src/c.js")

    found = a_build(Checkout(whole.folder / "apps" / "sf"), tmp_path)

    assert found.made == {"out/b.js"}
    assert found.unignored == ("src/c.js",)
    assert "src/a.ts" in found.tracked


@pytest.fixture
def outer(tmp_path: Path) -> Checkout:
    """A checkout with a submodule at packages/one, and one in that at deep; each ignores what another does not."""
    made = {name: Checkout.create(tmp_path / name) for name in ("deep", "one", "sf")}
    for name, ignored in (("deep", "*.o\n"), ("one", "dist/\n"), ("sf", "/dist/\n*.log\n")):
        (made[name].folder / ".gitignore").write_text(ignored)
        made[name].commit("what it ignores")
    made["one"].add_submodule("deep", made["deep"].folder)
    made["sf"].add_submodule("packages/one", made["one"].folder)
    return made["sf"]


def test_a_submodule_s_own_rules_say_what_a_build_wrote_in_it(outer: Checkout, tmp_path: Path) -> None:
    put(tmp_path / "export", "dist/a.js", "packages/one/package.json", "packages/one/dist/b.js", "packages/one/c.log")
    put(tmp_path / "export", "packages/one/deep/server.cjs", "packages/one/deep/d.o", "packages/one/deep/dist/e.js")
    put(outer.folder, "packages/one/dist/old.js", swap.RECORD)
    (outer.folder / swap.RECORD).write_text(json.dumps(["packages/one/dist/old.js", "packages/one/package.json"]))
    made = live.read(outer.folder, objects=tmp_path / "objects", submodules="checkout")

    found = output.read(made, tmp_path / "export", tmp_path / "objects")

    assert found.made == {"dist/a.js", "packages/one/dist/b.js", "packages/one/deep/d.o"}
    assert found.known == {"packages/one/dist/old.js"}
    assert found.unignored == ("packages/one/c.log", "packages/one/deep/dist/e.js")
    assert {"packages/one/package.json", "packages/one/deep/server.cjs"} <= found.tracked
    assert not {"packages/one", "packages/one/deep"} & found.tracked
    chosen = places.choose(found, tmp_path / "export", outer.folder)
    assert chosen.replaced == ("dist", "packages/one/deep/d.o", "packages/one/dist")


@pytest.mark.parametrize("name", ["packages/one/new.txt", "packages/one/server.cjs", "packages/one/deep/server.cjs"])
def test_changes_in_a_submodule_are_refused_since_a_build_does_not_have_them(outer: Checkout, name: str) -> None:
    live.read(outer.folder, submodules="checkout")
    (outer.folder / name).write_text("changed")

    with pytest.raises(errors.CheckoutDirty, match=rf"packages/one.*: {Path(name).name}$") as refused:
        live.read(outer.folder, submodules="checkout")

    assert refused.value.hint == f"commit them in {(outer.folder / name).parent}"


def test_a_record_by_the_server_removes_only_ignored_files_of_the_checkout(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "sf")
    put(checkout.folder, "dist/old.js", "new.ts")
    put(tmp_path, "outside")
    (checkout.folder / "dist" / "out").symlink_to(tmp_path)
    names = ["dist/old.js", "server.cjs", "new.ts", ".git/config", "../outside", "dist/out/outside", "/etc/passwd", 1]
    put(checkout.folder, swap.RECORD)
    (checkout.folder / swap.RECORD).write_text(json.dumps(names))
    put(tmp_path / "export", "dist/new.js")

    found = a_build(checkout, tmp_path)

    assert found.known == {"dist/old.js"}
    assert places.choose(found, tmp_path / "export", checkout.folder).stale == ("dist/old.js",)


def test_a_dist_that_a_version_without_a_record_built_is_replaced_whole(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "sf")
    put(checkout.folder, "dist/old.js", "dist/web/old.js")
    made = live.read(checkout.folder)
    stamp = live.stamp(made, "2026-01-01T00:00:00Z", ())
    put(checkout.folder, str(live.STAMP))
    (checkout.folder / live.STAMP).write_text(stamp.model_dump_json())
    put(tmp_path / "export", "dist/new.js")

    chosen = places.choose(a_build(checkout, tmp_path), tmp_path / "export", checkout.folder)

    assert chosen.replaced == ("dist",)


def test_a_repository_that_git_cannot_read_any_more_is_an_error_of_the_source(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "sf")
    put(tmp_path / "export", "dist/new.js")
    made = live.read(checkout.folder, objects=tmp_path / "objects")
    (checkout.folder / ".git" / "HEAD").unlink()

    with pytest.raises(errors.SourceUnusable, match="sf"):
        output.read(made, tmp_path / "export", tmp_path / "objects")
