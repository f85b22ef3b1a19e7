import pytest

from selfdeploy.contract.selection import selects

LOADER = "dist/loader.js"
SERVER = "dist/web/standalone/server.js"


@pytest.mark.parametrize(
    "patterns",
    [
        ["dist"],
        ["dist/"],
        ["/dist"],
        ["./dist"],
        ["dist/**"],
        ["dist/*"],
        ["dist/**/*"],
        ["DIST"],
        ["dist/**/*.js"],
        ["d*"],
        ["*.js"],
        ["{dist,lib}"],
        ["**"],
        ["dist", "!dist/test"],
        ["!dist", "dist"],
        ["lib", "dist", "dist/web"],
        ["dist/loader.js", "dist/[vw]eb/**"],
    ],
)
def test_what_npm_takes_is_selected(patterns: list[str]) -> None:
    assert selects(patterns, LOADER)
    assert selects(patterns, SERVER)


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        ["lib"],
        ["dist/web"],
        ["dist", "!dist"],
        ["dist", "!**/loader.js"],
        ["dist", "!*.js"],
        ["dist/*.mjs"],
        ["dis"],
        ["loader.js"],
        ["{lib,src}"],
        ["dist/loader"],
        ["["],
        ["dist/?.js"],
    ],
)
def test_what_npm_leaves_is_not_selected(patterns: list[str]) -> None:
    assert not selects(patterns, LOADER)


def test_a_pattern_of_many_groups_ends_in_a_moment() -> None:
    assert not selects(["{a,b}" * 40, "**/" * 40 + "x"], LOADER)
