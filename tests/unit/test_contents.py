"""What ships: the plan of files and links, with npm's answers as given values."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab.packing import Npm
from selfdeploy import contents, errors
from selfdeploy.contents import links, lock, skeleton


def write(root: Path, *names: str, **files: object) -> Path:
    """Write NAMES, each with its name in it, and FILES, whose values are text or JSON, below ROOT."""
    for name, value in {**{name: name for name in names}, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return root


def an_export(root: Path, *names: str, package: object = None, packages: object = None) -> Path:
    given: dict[str, object] = {"package.json": {"name": "sf"} if package is None else package}
    if packages is not None:
        given["package-lock.json"] = {"lockfileVersion": 3, "packages": packages}
    return write(root / "sf", *names, **given)


def chosen(export: Path, *include: str, npm: contents.Npm | None = None) -> list[str]:
    plan, _ = contents.choose(export, export.parent / "scratch", npm or Npm(), include)
    return sorted(set(plan.paths) - {"package.json"})


def laid_out(export: Path, *include: str) -> Path:
    plan, _ = contents.choose(export, export.parent / "scratch", Npm(), include)
    plan.lay_out(export.parent / "ship")
    return export.parent / "ship"


def test_a_package_ships_without_the_packages_in_it_that_production_does_not_need(tmp_path: Path) -> None:
    inner, dev = "node_modules/a/node_modules/b/i.js", "node_modules/a/node_modules/c/i.js"
    export = an_export(tmp_path, "dist/loader.js", "node_modules/a/i.js", inner, dev)

    ships = chosen(export, "dist", npm=Npm(removed=frozenset({"node_modules/a/node_modules/c"})))

    assert ships == ["dist/loader.js", "node_modules/a/i.js", inner]


def test_folders_of_a_package_that_are_called_node_modules_ship_with_it(tmp_path: Path) -> None:
    export = an_export(tmp_path, "node_modules/a/dist/node_modules/b/i.js", "dist/web/node_modules/c/i.js")

    assert chosen(export, "dist") == ["dist/web/node_modules/c/i.js", "node_modules/a/dist/node_modules/b/i.js"]


def test_a_scope_a_dot_folder_and_programs_of_packages_ship_and_caches_do_not(tmp_path: Path) -> None:
    export = an_export(
        tmp_path,
        "dist/x",
        "node_modules/@s/a/bin.js",
        "node_modules/@s/dev/bin.js",
        "node_modules/.prisma/client/i.js",
        "node_modules/.cache/x",
    )
    write(export, **{"node_modules/.package-lock.json": {"packages": {}}})
    (export / "node_modules/.bin").mkdir()
    for name in ("a", "dev"):
        (export / "node_modules/.bin" / name).symlink_to(f"../@s/{name}/bin.js")

    ships = chosen(export, "dist", npm=Npm(removed=frozenset({"node_modules/@s/dev"})))

    assert ships == [
        "dist/x",
        "node_modules/.bin/a",
        "node_modules/.prisma/client/i.js",
        "node_modules/@s/a/bin.js",
    ]


def test_a_linked_package_ships_with_its_own_packages(tmp_path: Path) -> None:
    export = an_export(tmp_path, "packages/a/i.js", "packages/a/node_modules/x/i.js", "packages/b/i.js", "dist/x")
    write(export, **{"packages/a/package.json": {"name": "@sf/a"}})
    write(export, "node_modules/x/i.js")
    (export / "node_modules" / "@sf").mkdir()
    (export / "node_modules" / "@sf" / "a").symlink_to("../../packages/a")

    ship = laid_out(export, "dist")

    assert (ship / "node_modules/@sf/a/i.js").read_text() == "packages/a/i.js"
    assert (ship / "node_modules/@sf/a/node_modules/x/i.js").read_text() == "packages/a/node_modules/x/i.js"
    assert not (ship / "packages" / "b").exists()


def test_what_npm_keeps_of_its_store_ships_and_workspaces_without_a_link_too(tmp_path: Path) -> None:
    packages = {
        "": {"devDependencies": {"a": "1", "dev": "1"}},
        "node_modules/a": {"resolved": "packages/a", "link": True},
        "node_modules/b": {"resolved": "packages/b", "link": True},
        "packages/a": {"name": "a", "dependencies": {"x": "1"}},
        "packages/b": {"name": "b"},
        "node_modules/x": {"version": "1.0.0"},
        "node_modules/dev": {"version": "1.0.0", "dev": True},
    }
    export = an_export(tmp_path, "dist/loader.js", "packages/a/i.js", "packages/b/i.js", packages=packages)
    write(export, **{f"packages/{name}/package.json": {"name": name} for name in "ab"})
    for name in ("x", "y", "dev"):
        folder = f"node_modules/.store/{name}@1.0.0-h/node_modules/{name}"
        write(export, f"{folder}/i.js", **{f"{folder}/package.json": {"name": name, "version": "1.0.0"}})
    links = {
        "node_modules/a": "../packages/a",
        "node_modules/dev": ".store/dev@1.0.0-h/node_modules/dev",
        "packages/a/node_modules/x": "../../../node_modules/.store/x@1.0.0-h/node_modules/x",
        "node_modules/.store/x@1.0.0-h/node_modules/y": "../../y@1.0.0-h/node_modules/y",
    }
    (export / "packages/a/node_modules").mkdir()
    for name, target in links.items():
        (export / name).symlink_to(target)
    before = sorted(path for path in export.rglob("*") if path.is_symlink())

    npm = Npm(removed=frozenset({"node_modules/a", "node_modules/dev"}))
    plan, required = contents.choose(export, tmp_path / "scratch", npm, ["dist"])
    plan.lay_out(tmp_path / "ship")
    contents.check.refuse_missing(tmp_path / "ship", required)

    assert sorted(name for name in plan.paths if name.endswith(("i.js", "/x", "/y"))) == [
        "node_modules/.store/x@1.0.0-h/node_modules/x/i.js",
        "node_modules/.store/x@1.0.0-h/node_modules/y",
        "node_modules/.store/y@1.0.0-h/node_modules/y/i.js",
        "packages/a/i.js",
        "packages/a/node_modules/x",
        "packages/b/i.js",
    ]
    assert sorted(path for path in export.rglob("*") if path.is_symlink()) == before


def test_a_linked_package_without_files_ships_whole_and_one_with_files_as_npm_says(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/x", "packages/a/lib/i.js", "packages/b/i.js")
    write(export, **{"packages/a/package.json": {}, "packages/b/package.json": {"files": ["i.js"]}})
    write(export, **{".gitignore": "lib/\n", "packages/a/.gitignore": "lib/\n", "packages/b/.gitignore": "i.js\n"})
    (export / "node_modules").mkdir()
    for name in ("a", "b"):
        (export / "node_modules" / name).symlink_to(f"../packages/{name}")
    copies: dict[str, list[str]] = {}

    class Watched(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            answer = super().list_packed(parent, folders)
            copies.update(answer)
            return answer

    ships = chosen(export, "dist", npm=Watched())

    assert "packages/a/lib/i.js" in ships
    assert copies == {"package-0": [".gitignore", "i.js", "package.json"]}  # npm would leave the other's build out
    assert "packages/b/i.js" in ships


def test_npm_sees_empty_files_and_links_as_files_and_no_key_that_leads_it_elsewhere(tmp_path: Path) -> None:
    export = an_export(
        tmp_path,
        "dist/loader.js",
        "dist/web/standalone/node_modules/x/i.js",
        "web/node_modules/y/i.js",
        "node_modules/z/i.js",
        package={"files": ["dist"], "scripts": {"prepack": "exit 1"}, "dependencies": {"z": "1"}, "main": "lib.js"},
    )
    (export / "dist" / "link").symlink_to("loader.js")
    os.mkfifo(export / "dist" / "pipe")
    seen: dict[str, object] = {}

    class Watched(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            seen["package"] = json.loads((parent / folders[0] / "package.json").read_text())
            seen["sizes"] = {path.name: path.stat().st_size for path in (parent / folders[0] / "dist").iterdir()}
            return super().list_packed(parent, folders)

    ships = chosen(export, npm=Watched())

    assert seen["package"] == {"files": ["dist"], "main": "lib.js", "name": "package-0", "version": "0.0.0"}
    assert seen["sizes"] == {"loader.js": 0, "link": 0, "web": (tmp_path / "scratch").stat().st_size}
    assert ships == ["dist/link", "dist/loader.js", "node_modules/z/i.js"]


def test_the_packages_of_a_staged_host_ship_when_the_host_does(tmp_path: Path) -> None:
    host = ("dist/web/standalone/server.js", "dist/web/standalone/node_modules/x/i.css")
    export = an_export(tmp_path, "dist/loader.js", *host, package={"files": ["dist"]})

    class Scripts(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            answer = super().list_packed(parent, folders)
            return {name: [path for path in paths if path.endswith(".js")] for name, paths in answer.items()}

    assert chosen(export, npm=Scripts()) == ["dist/loader.js", *sorted(host)]


def test_what_files_says_of_node_modules_is_npm_s_to_decide(tmp_path: Path) -> None:
    host = ("dist/web/node_modules/x/i.js", "dist/web/node_modules/y/i.js", "dist/web/server.js")
    export = an_export(tmp_path, *host, package={"files": ["dist", "!dist/web/node_modules/y"]})

    class Choosy(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            answer = super().list_packed(parent, folders)
            return {name: [path for path in paths if "/y/" not in path] for name, paths in answer.items()}

    assert chosen(export, npm=Choosy()) == [host[0], host[2]]


def test_ignore_rules_that_a_build_writes_for_git_do_not_count(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js", package={"files": ["dist", "lib"]})
    rules = {".gitignore": "dist/\n", "dist/.gitignore": "*\n", "dist/.npmignore": "x\n", "lib/.gitignore": "y\n"}
    write(export, **rules)

    class Watched(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            copy = parent / folders[0]
            seen = {name: (copy / name).read_text() for name in rules if (copy / name).exists()}
            assert seen == {name: rules[name] for name in rules if name != "dist/.gitignore"}
            return {folder: ["dist/loader.js"] for folder in folders}

    assert chosen(export, npm=Watched()) == ["dist/loader.js"]


def test_packages_whose_names_begin_alike_are_not_mixed_up(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/x", "packages/a/b/i.js", "packages/ab/i.js", package={"files": ["dist"]})
    write(export, **{"packages/a/package.json": {"files": ["b"]}, "packages/ab/package.json": {}})
    (export / "node_modules").mkdir()
    for name in ("a", "ab"):
        (export / "node_modules" / name).symlink_to(f"../packages/{name}")

    assert {"packages/a/b/i.js", "packages/ab/i.js"} <= set(chosen(export))


def test_without_files_dist_ships_although_git_ignores_it(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js", "src/loader.ts")

    class Sources(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            assert parent.is_dir()
            return {folder: ["package.json", "src/loader.ts"] for folder in folders}

    assert chosen(export, npm=Sources()) == ["dist/loader.js", "src/loader.ts"]


def test_a_file_that_npm_names_otherwise_than_it_is_is_refused(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js")

    class Other(Npm):
        def list_packed(self, parent: Path, folders: list[str]) -> dict[str, list[str]]:  # type: ignore[override]
            assert parent.is_dir()
            return {folder: ["dist/l�ader.js"] for folder in folders}

    with pytest.raises(errors.SourceUnusable, match="npm pack cannot carry a file of this name"):
        chosen(export, npm=Other())


# image.include


def test_include_takes_folders_globs_and_holes(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/a.js", "dist/b.js", "web/b.js", "web/c.css", "web/deep/d.js")

    assert chosen(export, "/web/*.js", "package.json") == ["web/b.js"]
    assert chosen(export, "./dist/", "web/**/*.js", "!dist/b.js") == ["dist/a.js", "web/b.js", "web/deep/d.js"]
    assert chosen(export, "web", "web/deep", "!web/deep") == ["web/b.js", "web/c.css"]


@pytest.mark.parametrize(
    "pattern", ["", "/", ".", "./", "!", "!.", "../x", "a/../../x", "a**", "dist/**.js", "build", "dist/*.css"]
)
def test_an_include_that_leads_out_is_malformed_or_matches_nothing_is_named(tmp_path: Path, pattern: str) -> None:
    export = an_export(tmp_path, "dist/a.js")

    with pytest.raises(errors.SourceUnusable, match=r"^image\.include: '"):
        chosen(export, "dist", pattern)


def test_an_include_behind_a_link_ships_the_link_and_its_target(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/v1/a.js")
    (export / "dist" / "current").symlink_to("v1")

    assert chosen(export, "dist/current/*") == ["dist/current", "dist/v1/a.js"]


# Links


def test_an_absolute_link_into_the_export_becomes_relative_and_is_noted(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js", "packages/native/i.js")
    (export / "dist/web").mkdir()
    (export / "dist/web/native").symlink_to(export / "packages" / "native")
    (export / "dist/web/same").symlink_to(f"{export}/dist/../dist/loader.js")

    plan, _ = contents.choose(export, tmp_path / "scratch", Npm(), ["dist", "packages"])
    plan.lay_out(tmp_path / "ship")

    assert str((tmp_path / "ship/dist/web/native").readlink()) == "../../packages/native"
    assert str((tmp_path / "ship/dist/web/same").readlink()) == "../loader.js"
    assert (
        f"dist/web/native: a link to {export}/packages/native, ships as a link to ../../packages/native" in plan.notes
    )


def test_what_a_link_leads_to_ships_and_is_noted(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js", "src/a.ts", "lib/deep/b.js", "lib/node_modules/c/i.js")
    write(export, **{"lib/package.json": {}})
    (export / "dist" / "a.ts").symlink_to("../src/a.ts")
    (export / "dist" / "lib").symlink_to("../lib")
    (export / "lib" / "back").symlink_to("../dist")
    (export / "dist" / "whole").symlink_to("..")

    plan, _ = contents.choose(export, tmp_path / "scratch", Npm(), ["dist"])
    plan.lay_out(tmp_path / "ship")

    assert (tmp_path / "ship/dist/lib/deep/b.js").read_text() == "lib/deep/b.js"
    assert (tmp_path / "ship/dist/a.ts").read_text() == "src/a.ts"
    assert not (tmp_path / "ship/lib/node_modules").exists()
    assert "lib: ships, since dist/lib links to it" in plan.notes


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/passwd", "leads out of the tree"),
        ("../../outside", "leads out of the tree"),
        ("nowhere", "leads nowhere"),
        ("bad", "leads nowhere"),
        ("loader.js/x", "leads nowhere"),
    ],
)
def test_links_that_lead_out_or_nowhere_are_refused_all_at_once(tmp_path: Path, target: str, why: str) -> None:
    export = an_export(write(tmp_path, "outside"), "dist/loader.js")
    for name in ("bad", "worse"):
        (export / "dist" / name).symlink_to(target)

    with pytest.raises(errors.TreeChanged) as refused:
        chosen(export, "dist")

    assert refused.value.message == "\n".join(
        f"dist/{name}: a link to {target}, which {why}" for name in ("bad", "worse")
    )


def test_the_link_that_node_gyp_leaves_in_what_it_compiles_does_not_ship(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/x", "node_modules/a/build/Release/a.node")
    (export / "node_modules/a/build/node_gyp_bins").mkdir()
    (export / "node_modules/a/build/node_gyp_bins/python3").symlink_to("/usr/bin/python3")

    assert chosen(export, "dist") == ["dist/x", "node_modules/a/build/Release/a.node"]


def test_a_link_of_a_gate_that_leads_out_is_found_with_the_gate(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/loader.js", "web/i.js", package={"files": ["dist/**/*.js", "web", "!x"]})
    for name in ("dist/one", "dist/two", "web/three", "elsewhere", "web/node_modules"):
        (export / name).symlink_to("/etc")
    (export / "dist" / "inside").symlink_to(export / "nowhere")

    with pytest.raises(errors.TreeChanged) as refused:
        contents.refuse_outward_links(export, "build-core")

    lines = refused.value.message.splitlines()
    assert lines[0].startswith("after gate build-core: dist/one: a link to /etc, which leads out")
    assert [line.partition(":")[0] for line in lines[1:]] == ["dist/two", "web/node_modules", "web/three"]


def test_links_of_a_linked_package_s_build_are_found_too(tmp_path: Path) -> None:
    export = an_export(tmp_path, "packages/a/dist/i.js", "node_modules/x")
    (export / "node_modules" / "a").symlink_to("../packages/a")
    contents.refuse_outward_links(export, "npm-ci")
    (export / "packages/a/dist/out").symlink_to("../../../../x")

    with pytest.raises(errors.TreeChanged, match="packages/a/dist/out"):
        contents.refuse_outward_links(export, "build-core")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 5}', '{"files": ["dist"], "x": "\\ud800"}'])
def test_a_gate_is_not_failed_for_a_package_json_that_staging_refuses(tmp_path: Path, content: str) -> None:
    contents.refuse_outward_links(write(tmp_path / "sf", **{"package.json": content}), "npm-ci")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["dist", "dist/web", "./dist/", "/web/x/"], {"dist", "dist/web", "web/x"}),
        (["lib/**/*.js", "!secret", "*", ".", "../x", "", "a/{b,c}"], {"dist", "lib", "a"}),
    ],
)
def test_the_folders_that_patterns_begin_with(files: list[str], expected: set[str]) -> None:
    assert links.heads(files) == expected


# Packages that are not what they have to be


def test_a_package_elsewhere_on_this_machine_does_not_ship(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/i.js")
    export = an_export(tmp_path, "dist/x", "node_modules/x/i.js")
    (export / "node_modules" / "core").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.SourceUnusable, match="^node_modules/core: links to .*, which is not in the package"):
        chosen(export, "dist")


def test_node_modules_that_are_a_link_are_refused(tmp_path: Path) -> None:
    export = an_export(tmp_path, "dist/x", "modules/x/i.js")
    (export / "node_modules").symlink_to("modules")

    with pytest.raises(errors.SourceUnusable, match="^node_modules: a link"):
        chosen(export, "dist")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"files": "dist"}', '{"files": [5]}', "\x00"])
def test_a_source_without_a_usable_package_json_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(errors.SourceUnusable, match=r"^package\.json: "):
        chosen(write(tmp_path / "sf", **{"package.json": content}))


def test_a_source_without_package_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sf").mkdir()

    with pytest.raises(errors.SourceUnusable, match=r"^package\.json: missing"):
        chosen(tmp_path / "sf")


# The lock file


def required(export: Path) -> dict[str, str]:
    return {location: package.version for location, package in lock.read_required(export).items()}


def test_the_lock_file_requires_what_is_neither_dev_nor_optional(tmp_path: Path) -> None:
    packages: dict[str, Any] = {
        "": {},
        "node_modules/a": {"version": "1.0.0"},
        "node_modules/alias": {"name": "ms", "version": "2.1.1+build"},
        "node_modules/dev": {"version": "1.0.0", "dev": True},
        "node_modules/both": {"version": "1.0.0", "devOptional": True},
        "node_modules/os": {"version": "1.0.0", "optional": True},
        "node_modules/stale": {"version": "1.0.0", "extraneous": True},
        "node_modules/peer": {"version": "1.0.0", "peer": True},
        "node_modules/@sf/a": {"resolved": "packages/a", "link": True},
        "packages/a": {"version": "0.0.1"},
        "packages/a/node_modules/x": {"version": "2.0.0"},
    }
    export = an_export(tmp_path, packages=packages)

    everything = required(export)
    write(export, **{".npmrc": "omit[]=peer\n"})

    assert everything == {
        "node_modules/a": "1.0.0",
        "node_modules/alias": "2.1.1",
        "node_modules/peer": "1.0.0",
        "node_modules/@sf/a": "",
        "packages/a": "",
        "packages/a/node_modules/x": "2.0.0",
    }
    assert required(export) == {name: version for name, version in everything.items() if name != "node_modules/peer"}


def test_a_shrinkwrap_precedes_a_lock_file_and_the_hidden_one_is_the_last(tmp_path: Path) -> None:
    export = an_export(tmp_path)
    for name, file in (
        ("c", "node_modules/.package-lock.json"),
        ("b", "package-lock.json"),
        ("a", "npm-shrinkwrap.json"),
    ):
        before = required(export)
        write(export, **{file: {"packages": {f"node_modules/{name}": {"version": "1.0.0"}}}})
        assert required(export) == {f"node_modules/{name}": "1.0.0"} != before


def test_a_lock_file_of_version_1_is_read_by_its_nesting(tmp_path: Path) -> None:
    inner = {"x": {"version": "2.0.0"}, "dev": {"version": "1.0.0", "dev": True}}
    dependencies = {
        "a": {"version": "1.0.0", "dependencies": inner},
        "alias": {"version": "npm:ms@2.1.1"},
        "linked": {"version": "file:packages/linked"},
        "git": {"version": "git+ssh://git@example.com/a.git#0123"},
    }
    export = write(an_export(tmp_path), **{"package-lock.json": {"lockfileVersion": 1, "dependencies": dependencies}})

    assert required(export) == {
        "node_modules/a": "1.0.0",
        "node_modules/a/node_modules/x": "2.0.0",
        "node_modules/alias": "2.1.1",
        "node_modules/linked": "",
        "node_modules/git": "",
    }


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[]",
        '{"packages": []}',
        '{"packages": {"node_modules/a": 5}}',
        '{"packages": {"../a": {}}}',
        '{"packages": {"/a": {}}}',
        '{"packages": {"node_modules/a": {"link": true, "resolved": "../elsewhere"}}}',
        '{"packages": {"node_modules/a\\u0000": {}}}',
        '{"lockfileVersion": 1, "dependencies": {"a": 5}}',
        '{"lockfileVersion": 1, "dependencies": {"a": {"dependencies": 5}}}',
    ],
)
def test_a_lock_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(errors.SourceUnusable, match=r"^package-lock\.json: "):
        required(write(an_export(tmp_path), **{"package-lock.json": content}))


@pytest.mark.parametrize(
    ("files", "package", "expected"),
    [
        (["dist", "./lib/x", "!dist/y"], {"main": "main/i.js"}, {"dist", "lib", "main"}),
        (
            ["dist"],
            {"bin": {"a": "./bin/a.js"}, "browser": "b.js", "directories": {"bin": "cli"}},
            {"dist", "bin", "b.js", "cli"},
        ),
        (["*"], {}, None),
        (["."], {}, None),
        (["/"], {}, None),
        (["{a,b}/x"], {}, None),
    ],
)
def test_npm_is_shown_the_folders_it_can_choose_of(
    files: list[str], package: dict[str, object], expected: object
) -> None:
    assert skeleton.list_tops(package, files) == expected
