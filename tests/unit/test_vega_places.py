"""Which paths of a checkout a build takes: the build's own, whole where it can be, and nothing of the person's."""

from pathlib import Path

import pytest

from selfdeploy import errors
from selfdeploy.vega import places
from selfdeploy.vega.output import Output


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).mkdir() if name.endswith("/") else (root / name).write_text(root.name)


def choose(
    folder: Path, made: str, there: str = "", known: str = "", tracked: str = "src/a.ts packages/a/package.json"
) -> places.Places:
    """Return what a build that MADE so much takes in a checkout where so much is THERE."""
    export, checkout = folder / "export", folder / "checkout"
    write(export, *made.split(), *tracked.split())
    write(checkout, *there.split(), *known.split(), *tracked.split())
    made_entries = {name.rstrip("/") for name in made.split()}
    made_entries |= {
        name.partition("node_modules/")[0] + "node_modules" for name in made_entries if "node_modules/" in name
    }
    output = Output(
        made=frozenset(name for name in made_entries if "node_modules/" not in name),
        known=frozenset(known.split()) - made_entries,
        unignored=(),
        tracked=frozenset(tracked.split()),
    )
    return places.choose(output, export, checkout)


def test_a_folder_that_only_builds_wrote_is_one_place_and_packages_too(tmp_path: Path) -> None:
    made = "dist/a.js dist/web/b.js packages/a/dist/c.js node_modules/x/index.js web/node_modules/y/index.js"

    chosen = choose(tmp_path, made, there="dist/a.js packages/a/dist/c.js node_modules/of/mine.js")

    assert chosen.replaced == ("dist", "node_modules", "packages/a/dist", "web")
    assert chosen.stale == chosen.kept == ()


def test_what_the_person_has_beside_the_build_stays(tmp_path: Path) -> None:
    made = "data/cache.json packages/a/dist/c.js packages/a/dist/deep/d.js"

    chosen = choose(tmp_path, made, there=".env data/app.db packages/a/dist/mine.txt packages/a/.env uploads/")

    assert chosen.replaced == ("data/cache.json", "packages/a/dist/c.js", "packages/a/dist/deep")
    assert chosen.stale == ()


def test_an_empty_folder_of_the_person_s_stays(tmp_path: Path) -> None:
    chosen = choose(tmp_path, "out/a.js out/empty/", there="out/a.js out/mine/ out/empty/")

    assert chosen.replaced == ("out/a.js",)


def test_what_an_earlier_build_made_goes_and_as_a_whole_where_it_can(tmp_path: Path) -> None:
    known = "dist/old.js packages/b/dist/e.js packages/b/dist/f/g.js packages/c/dist/h.js"

    chosen = choose(tmp_path, "dist/a.js", there="packages/c/dist/mine.txt", known=known)

    assert chosen.replaced == ("dist",)
    assert chosen.stale == ("packages/b", "packages/c/dist/h.js")


def test_a_dotenv_file_of_the_person_s_stays_also_where_the_build_writes_one(tmp_path: Path) -> None:
    chosen = choose(tmp_path, ".env .env.local packages/a/.env.new dist/.env", there=".env .env.local dist/.env")

    assert chosen.kept == (".env", ".env.local")
    assert chosen.replaced == ("dist", "packages/a/.env.new")


def test_a_folder_with_a_tracked_file_is_never_a_place(tmp_path: Path) -> None:
    chosen = choose(tmp_path, "dist/a.js", there="dist/a.js", tracked="dist/keep.txt")

    assert chosen.replaced == ("dist/a.js",)


def test_a_build_replaces_an_earlier_file_by_a_folder_and_a_folder_by_a_file(tmp_path: Path) -> None:
    chosen = choose(tmp_path, "dist/a/b.js dist/c", known="dist/a dist/c/d.js")

    assert chosen.replaced == ("dist",)


@pytest.mark.parametrize(("made", "there"), [("out/a.js", "out"), ("out", "out/mine.txt"), ("dist/a/b", "dist/a")])
def test_a_file_of_the_person_s_in_the_way_of_the_build_is_refused(tmp_path: Path, made: str, there: str) -> None:
    with pytest.raises(errors.MountRefused, match="the build makes"):
        choose(tmp_path, made, there=there)


def test_a_link_of_the_person_s_in_the_way_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "data").symlink_to(tmp_path)

    with pytest.raises(errors.MountRefused, match="data"):
        choose(tmp_path, "data/cache.json")
