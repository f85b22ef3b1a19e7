from pathlib import Path

from selfdeploy.vega import links


def test_absolute_links_into_the_copy_lead_to_the_same_place_of_the_checkout(tmp_path: Path) -> None:
    export = tmp_path / "export"
    (export / "packages" / "native").mkdir(parents=True)
    (export / "packages" / "native" / "index.js").write_text("native")
    scope = export / "dist" / "node_modules" / "@scope"
    scope.mkdir(parents=True)
    (scope / "native").symlink_to(export / "packages" / "native")
    (scope / "near").symlink_to("native")
    (scope / "out").symlink_to("/usr/bin")

    links.make_relative(export / "dist", export)
    (tmp_path / "export").rename(tmp_path / "checkout")

    moved = tmp_path / "checkout" / "dist" / "node_modules" / "@scope"
    assert (moved / "native" / "index.js").read_text() == "native"
    assert (moved / "near").readlink() == Path("native")
    assert (moved / "out").readlink() == Path("/usr/bin")


def test_a_link_that_is_the_place_itself_is_made_relative(tmp_path: Path) -> None:
    (tmp_path / "word.json").write_text("{}")
    (tmp_path / "dist").symlink_to(tmp_path / "word.json")

    links.make_relative(tmp_path / "dist", tmp_path)

    assert (tmp_path / "dist").readlink() == Path("word.json")
