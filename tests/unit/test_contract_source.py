import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.values import a_project
from selfdeploy import errors
from selfdeploy.contract import source
from selfdeploy.contract.clauses import Finding
from selfdeploy.contract.tracked import GITLINK, LINK, Entry, Tracked, folders, parse_listing, parse_objects, target
from selfdeploy.source.outline import Outline, Submodule

PACKAGE: dict[str, Any] = {
    "name": "sf",
    "files": ["dist"],
    "workspaces": ["packages/*"],
    "scripts": {"build:core": "a", "build:web-host": "b", "typecheck:extensions": "c", "test:unit": "d"},
    "dependencies": {"@sf/one": "1.0.0", "ms": "2.1.3"},
    "devDependencies": {"typescript": "^5.9.0"},
    "optionalDependencies": {"fsevents": "^2.0.0"},
}
LOCK: dict[str, Any] = {
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "sf"},
        "node_modules/@sf/one": {"resolved": "packages/one", "link": True},
        "node_modules/fsevents": {"version": "2.3.3", "optional": True},
        "node_modules/ms": {"version": "2.1.3"},
        "node_modules/typescript": {"version": "5.9.3", "dev": True},
        "packages/one": {"version": "1.0.0"},
        "packages/one/node_modules/ms": {"version": "2.0.0"},
    },
}
ONE = {"name": "@sf/one", "version": "1.0.0", "dependencies": {"ms": "2.0.0"}}
WEB_LOCK = {"lockfileVersion": 2, "packages": {"": {}, "node_modules/next": {"version": "16.4.5"}}}
FILES: dict[str, Any] = {
    "package.json": PACKAGE,
    "package-lock.json": LOCK,
    "packages/one/package.json": ONE,
    "web/package.json": {"dependencies": {"next": "16.4.5"}},
    "web/package-lock.json": WEB_LOCK,
    "web/next.config.mjs": "export default { output: 'standalone' };",
    "scripts/stamp.mjs": "process.env.SF_BUILD_REVISION",
}
NOTHING: dict[str, Any] = {"empty": (), "submodules": (), "pointers": ()}
MENTIONS = {"SF_BUILD_REVISION": ("scripts/stamp.mjs",), "SF_RELEASE_MANIFEST": ("web/lib/version.ts",)}


def tracked(
    changes: Mapping[str, Any] | None = None,
    *,
    links: Mapping[str, str] | None = None,
    outline: Mapping[str, Any] | None = None,
    unusable: errors.SourceUnusable | None = None,
    ignored: tuple[str, ...] = (),
    mentions: Mapping[str, tuple[str, ...]] = MENTIONS,
) -> Tracked:
    """A revision of FILES with CHANGES, None for a file that is missing."""
    files = {path: value for path, value in {**FILES, **(changes or {})}.items() if value is not None}
    texts = {path: value if isinstance(value, str) else json.dumps(value) for path, value in files.items()}
    contents = {path: text.encode() for path, text in {**texts, **(links or {})}.items()}
    entries = {path: Entry(mode="100644", id="0", size=len(contents[path])) for path in texts}
    entries |= {path: Entry(mode=LINK, id="0") for path in links or {}}
    return Tracked(
        entries=entries,
        contents=contents,
        paths=frozenset({*entries, *folders(entries)}),
        outline=Outline(
            **{"files": len(entries), "size": 0, "empty": (), "submodules": (), "pointers": (), **(outline or {})}
        ),
        unusable=unusable,
        ignored=frozenset(ignored),
        mentions=mentions,
    )


def check(revision: Tracked, **settings: Any) -> dict[str, Finding]:  # noqa: ANN401 -- sections of deploy.toml
    return {finding.number: finding for finding in source.check(revision, a_project(**settings))}


def broken(revision: Tracked, **settings: Any) -> list[str]:  # noqa: ANN401 -- the same
    return [number for number, finding in check(revision, **settings).items() if finding.state == "broken"]


def without(value: Mapping[str, Any], *names: str, **changes: object) -> dict[str, Any]:
    return {name: part for name, part in {**value, **changes}.items() if name not in names}


def packages(**changes: object) -> dict[str, Any]:
    """The lock file with CHANGES of its packages, None for one that is missing."""
    merged = {**LOCK["packages"], **{name.replace("__", "/"): one for name, one in changes.items()}}
    return {**LOCK, "packages": {name: one for name, one in merged.items() if one is not None}}


def test_a_revision_that_keeps_the_contract_breaks_no_clause() -> None:
    assert {finding.state for finding in check(tracked()).values()} == {"ok"}


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("S3", {"package-lock.json": None}),
        ("S3", {"package-lock.json": "no JSON"}),
        ("S3", {"package-lock.json": [1]}),
        ("S3", {"package-lock.json": "[" * 60_000}),
        ("S3", {"package-lock.json": {**LOCK, "lockfileVersion": 1}}),
        ("S3", {"package-lock.json": {**LOCK, "lockfileVersion": "3"}}),
        ("S3", {"package-lock.json": {"lockfileVersion": 3}}),
        ("S3", {"package-lock.json": {**LOCK, "packages": {"": 1}}}),
        ("S3", {"package-lock.json": packages(node_modules__ms=None)}),
        ("S3", {"package-lock.json": packages(node_modules__typescript=None)}),
        ("S3", {"package-lock.json": packages(node_modules__fsevents=None)}),
        ("S3", {"package-lock.json": packages(node_modules__ms={"version": "2.1.2"})}),
        ("S3", {"packages/one/package.json": without(ONE, dependencies={"ms": "2.0.0", "left-pad": "^1.0.0"})}),
        ("S3", {"packages/one/package.json": None}),
        ("S3", {"npm-shrinkwrap.json": {"lockfileVersion": 1}}),
        ("S4", {"web/package-lock.json": None}),
        ("S4", {"web/package-lock.json": {"lockfileVersion": 1, "dependencies": {}}}),
        ("S4", {"web/package.json": None}),
        ("S4", {"web/package.json": {"dependencies": {"next": "16.4.6"}}}),
        ("S5", {"package.json": without(PACKAGE, scripts={"build:core": "a"})}),
        ("S5", {"package.json": without(PACKAGE, scripts={**PACKAGE["scripts"], "test:unit": " "})}),
        ("S5", {"package.json": without(PACKAGE, scripts=["build:core"])}),
        ("S6", {"package.json": without(PACKAGE, files=["dist", "../other"])}),
        ("S6", {"package.json": without(PACKAGE, files=["dist", "/"])}),
        ("S7", {"package.json": without(PACKAGE, files=["dist", "!dist/web"])}),
        ("S7", {"package.json": without(PACKAGE, files=["dist/web"])}),
        ("S9", {"web/next.config.mjs": None}),
        ("S9", {"web/next.config.mjs": "export default { };"}),
        ("S9", {"web/next.config.mjs": "export default { // output: 'standalone'\n};"}),
        ("S9", {"web/next.config.mjs": "export default { output: 'export' };"}),
    ],
)
def test_each_fault_breaks_its_own_clause(number: str, changes: dict[str, Any]) -> None:
    finding = check(tracked(changes))[number]

    assert broken(tracked(changes)) == [number]
    assert finding.expected
    assert finding.actual
    assert finding.todo


def test_a_package_that_names_nothing_to_ship_ships_no_command() -> None:
    assert broken(tracked({"package.json": without(PACKAGE, "files")})) == ["S6", "S7"]
    assert broken(tracked({"package.json": without(PACKAGE, files="dist")})) == ["S6", "S7"]


def test_what_npm_ships_without_files_is_left_to_npm() -> None:
    bare = without(PACKAGE, "files")
    programs = without(PACKAGE, files=["dist/web"], bin={"sf": "./dist/loader.js"})

    found = check(tracked({"package.json": bare, ".npmignore": "web\n"}))

    assert [found[number].state for number in ("S6", "S7")] == ["not checked", "not checked"]
    assert broken(tracked({"package.json": programs})) == []
    assert broken(tracked({"package.json": without(programs, "bin", main="dist/loader.js")})) == []
    assert broken(tracked({"package.json": programs}), image={"include": ["dist/web"]}) == ["S7"]


def test_a_revision_without_a_package_says_so_of_each_clause_that_reads_it() -> None:
    assert broken(tracked({"package.json": None})) == ["S3", "S5", "S6", "S7"]


MODULE = Submodule(path="vendor/x", commit="1" * 40, top=Path("/nowhere"), inside="vendor/x")


def test_a_submodule_is_broken_unless_its_files_are_exported() -> None:
    revision = tracked(outline={"submodules": (MODULE,)})
    exported = {"source": {"submodules": "checkout"}}
    why = errors.SourceUnusable(
        "vendor/x: a submodule that is not initialized", "git submodule update --init -- vendor/x"
    )
    lost = tracked(outline={"submodules": (MODULE,)}, unusable=why)

    assert broken(revision) == ["S1"]
    assert "vendor/x" in check(revision)["S1"].actual
    assert broken(revision, **exported) == []
    assert "from submodules: vendor/x" in check(revision, **exported)["S1"].actual
    assert broken(lost, **exported) == ["S1"]
    assert (check(lost, **exported)["S1"].actual, check(lost, **exported)["S1"].todo) == (why.message, why.hint)


def test_what_lies_in_a_submodule_without_files_is_not_checked() -> None:
    web = dataclasses.replace(MODULE, path="web", inside="web")
    one = dataclasses.replace(MODULE, path="packages/one", inside="packages/one")
    files = {path: None for path in FILES if path.startswith(("web/", "packages/"))}

    found = check(tracked(files, outline={"submodules": (web, one)}))

    assert {number: found[number].state for number in ("S1", "S3", "S4", "S9")} == {
        "S1": "broken",
        "S3": "ok",
        "S4": "not checked",
        "S9": "not checked",
    }
    assert broken(tracked(files, outline={"submodules": (MODULE,)})) == ["S1", "S3", "S4", "S9"]


def test_code_in_a_submodule_without_files_may_read_the_variables() -> None:
    nobody = dict.fromkeys(MENTIONS, ())

    found = check(tracked(outline={"submodules": (MODULE,)}, mentions=nobody))

    assert found["S10"].state == "not checked"
    assert "vendor/x" in found["S10"].todo
    assert broken(tracked(mentions=nobody)) == ["S10"]


def test_an_orphan_gitlink_is_kept_and_told() -> None:
    assert "an empty folder each: docs/x" in check(tracked(outline={"empty": ("docs/x",)}))["S1"].actual


def test_a_pointer_of_lfs_is_broken() -> None:
    revision = tracked(outline={"pointers": ("model.bin",)})

    assert broken(revision) == ["S2"]
    assert "model.bin" in check(revision)["S2"].actual


@pytest.mark.parametrize("text", ["/opt/sf/dist", "../../../outside", "nowhere", "../package.json/.."])
def test_a_link_that_ships_and_leads_out_or_nowhere_is_broken(text: str) -> None:
    expected = [] if text == "../package.json/.." else ["S8"]

    assert broken(tracked(links={"dist/link": text})) == expected
    assert broken(tracked(links={"packages/one/link": text})) == expected


@pytest.mark.parametrize("text", ["../packages/one", "../packages/one/package.json", "..", "../web"])
def test_a_link_within_the_package_is_kept(text: str) -> None:
    assert broken(tracked(links={"dist/link": text})) == []


def test_a_link_that_does_not_ship_or_that_a_build_fills_is_kept() -> None:
    assert broken(tracked(links={"tests/link": "/nowhere"})) == []
    assert broken(tracked(links={"dist/link": "../build/x"}, ignored=("build/x",))) == []
    assert broken(tracked(links={"dist/link": "other/x", "dist/other": "../web"})) == []


@pytest.mark.parametrize("name", MENTIONS)
def test_a_variable_that_no_code_reads_is_broken(name: str) -> None:
    revision = tracked(mentions={**MENTIONS, name: ()})

    assert broken(revision) == ["S10"]
    assert name in check(revision)["S10"].actual


def test_what_deploy_toml_defines_anew_is_what_counts() -> None:
    settings: dict[str, dict[str, Any]] = {
        "image": {"include": ["dist"]},
        "gates": {
            "override": {
                "npm-ci": {"command": ["pnpm", "install", "--frozen-lockfile"]},
                "build-core": {"command": ["npm", "--prefix", "core", "run", "build"], "needs": ["npm-ci"]},
                "test-unit": {"command": ["node", "test.mjs"], "needs": ["build-core"]},
            }
        },
    }
    changed = {
        "package.json": without(PACKAGE, "files", scripts=without(PACKAGE["scripts"], "build:core", "test:unit")),
        "package-lock.json": None,
        "core/package.json": {"scripts": {"build": "x"}},
    }

    found = check(tracked(changed), **settings)

    assert broken(tracked(changed), **settings) == []
    assert found["S3"].state == "not checked"
    assert "pnpm install" in found["S3"].todo
    assert "dist" in found["S6"].actual
    assert broken(tracked({**changed, "core/package.json": None}), **settings) == ["S5"]


def test_git_s_answers_are_read_whatever_a_name_holds() -> None:
    listing = b"100644 blob abc      12\ta b\n\xff\x00160000 commit def       -\tvendor/x\0"
    stream = b"abc blob 3\nx\ny\ndef missing\nghi blob 0\n\n"

    assert parse_listing(listing) == {
        "a b\n\udcff": Entry(mode="100644", id="abc", size=12),
        "vendor/x": Entry(mode=GITLINK, id="def"),
    }
    assert parse_objects(stream) == {"abc": b"x\ny", "ghi": b""}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [("a/b", "../c", "c"), ("a/b", "c", "a/c"), ("a", "..", ".."), ("a", "/x", "/x"), ("a/b", "../../x", "../x")],
)
def test_a_link_leads_from_its_own_folder(path: str, text: str, expected: str) -> None:
    assert target(path, text) == expected
