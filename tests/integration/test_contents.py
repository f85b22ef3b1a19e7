"""What ships, with the real npm: of small trees, compared with what npm itself makes of them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.site import ROOT, Site
from selfdeploy import config, contents, errors, process, tree
from selfdeploy.contents import native

CASES: dict[str, dict[str, Any]] = {
    "a workspace package has its own version of a dependency": {
        "package": {"files": ["dist"], "workspaces": ["packages/*"], "dependencies": {"x": "1"}},
        "lock": {
            "node_modules/@sf/a": {"resolved": "packages/a", "link": True},
            "node_modules/x": {"version": "1.0.0"},
            "packages/a": {"name": "@sf/a", "version": "1.0.0", "dependencies": {"x": "2"}},
            "packages/a/node_modules/x": {"version": "2.0.0"},
        },
        "files": ["dist/loader.js", "node_modules/x/i.js", "packages/a/i.js", "packages/a/node_modules/x/i.js"],
        "ships": ["dist/loader.js", "node_modules/x/i.js", "packages/a/i.js", "packages/a/node_modules/x/i.js"],
    },
    "npm-shrinkwrap.json is the lock file": {
        "lock_name": "npm-shrinkwrap.json",
        "package": {"files": ["dist"], "dependencies": {"x": "1"}},
        "lock": {"node_modules/x": {"version": "1.0.0"}},
        "files": ["dist/loader.js", "node_modules/x/i.js"],
        "ships": ["dist/loader.js", "node_modules/x/i.js"],
    },
    "a package is both a devDependency and optional for production": {
        "package": {"files": ["dist"], "optionalDependencies": {"s": "1"}, "devDependencies": {"d": "1"}},
        "lock": {
            "node_modules/s": {"version": "1.0.0", "optional": True, "dependencies": {"d": "1"}},
            "node_modules/d": {"version": "1.0.0", "devOptional": True},
        },
        "files": ["dist/loader.js", "node_modules/s/i.js", "node_modules/d/i.js"],
        "ships": ["dist/loader.js", "node_modules/s/i.js", "node_modules/d/i.js"],
    },
    "files has braces": {
        "package": {"files": ["dist/**/*.{js,json}"], "devDependencies": {"dev": "1"}},
        "lock": {"node_modules/dev": {"version": "1.0.0", "dev": True}},
        "files": ["dist/loader.js", "dist/web/a.js", "dist/web/a.css", "node_modules/dev/i.js"],
        "ships": ["dist/loader.js", "dist/web/a.js"],
    },
    "files has an extended glob and a hole": {
        "package": {"files": ["@(dist)/**", "!dist/*.map", "dist/keep.map"]},
        "lock": {},
        "files": ["dist/loader.js", "dist/a.map", "dist/keep.map", "src/loader.ts"],
        "ships": ["dist/keep.map", "dist/loader.js"],
    },
    "files overlap": {
        "package": {"files": ["dist", "dist/web", "./dist/", "/dist/web/standalone/"]},
        "lock": {},
        "files": ["dist/loader.js", "dist/web/standalone/server.js", "dist/web/standalone/node_modules/x/i.css"],
        "links": {"dist/web/current": "standalone"},
        "ships": [
            "dist/loader.js",
            "dist/web/current",
            "dist/web/standalone/node_modules/x/i.css",
            "dist/web/standalone/server.js",
        ],
    },
    "there is no files, and git ignores the build": {
        "package": {"workspaces": ["packages/*"]},
        "lock": {
            "node_modules/a": {"resolved": "packages/a", "link": True},
            "packages/a": {"name": "a", "version": "1.0.0"},
        },
        "files": ["dist/loader.js", "src/loader.ts", "packages/a/dist/i.js", "web/node_modules/x/i.js"],
        "text": {".gitignore": "dist/\nnode_modules/\n"},
        "ships": ["dist/loader.js", "packages/a/dist/i.js", "src/loader.ts"],
    },
    "a folder and an alias are dependencies, another package is bundled": {
        "package": {
            "files": ["dist"],
            "dependencies": {"v": "file:vendor/v", "alias": "npm:x@2", "b": "1"},
            "devDependencies": {"d": "file:vendor/d"},
        },
        "lock": {
            "node_modules/v": {"resolved": "vendor/v", "link": True},
            "vendor/v": {"version": "1.0.0", "dependencies": {"x": "1"}},
            "vendor/v/node_modules/x": {"version": "1.0.0"},
            "node_modules/d": {"resolved": "vendor/d", "link": True},
            "vendor/d": {"version": "1.0.0", "dev": True},
            "node_modules/alias": {"name": "x", "version": "2.0.0"},
            "node_modules/b": {"version": "1.0.0", "bundleDependencies": ["c"], "dependencies": {"c": "1"}},
            "node_modules/b/node_modules/c": {"version": "1.0.0", "inBundle": True},
        },
        "files": ["dist/loader.js", "vendor/v/i.js", "vendor/v/node_modules/x/i.js", "node_modules/b/i.js"],
        "ships": ["dist/loader.js", "node_modules/b/i.js", "vendor/v/i.js", "vendor/v/node_modules/x/i.js"],
    },
    "a peer dependency and one that is overridden": {
        "package": {"files": ["dist"], "dependencies": {"a": "1"}, "overrides": {"x": "2.0.0"}},
        "lock": {
            "node_modules/a": {"version": "1.0.0", "dependencies": {"x": "1"}, "peerDependencies": {"p": "1"}},
            "node_modules/x": {"version": "2.0.0"},
            "node_modules/p": {"version": "1.0.0", "peer": True},
        },
        "files": ["dist/loader.js", "node_modules/a/i.js", "node_modules/x/i.js", "node_modules/p/i.js"],
        "ships": ["dist/loader.js", "node_modules/a/i.js", "node_modules/p/i.js", "node_modules/x/i.js"],
    },
    "there is no lock file": {
        "lock_name": "",
        "package": {"files": ["dist"], "dependencies": {"x": "1"}, "devDependencies": {"dev": "1"}},
        "lock": {"node_modules/x": {"version": "1.0.0"}, "node_modules/dev": {"version": "1.0.0"}},
        "files": ["dist/loader.js", "node_modules/x/i.js", "node_modules/dev/i.js"],
        "ships": ["dist/loader.js", "node_modules/x/i.js"],
    },
}
"""Each tree, and the files of it that ship; package.json of each package ships too."""


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """A pinned npm, a folder, and what its commands see."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def npm(self) -> contents.Npm:
        return contents.Npm(environment=self.environment)

    def run(self, *argv: str, cwd: Path) -> str:
        outcome = process.run(argv, timeout=300, cwd=cwd, env=self.environment, check=False)
        assert outcome.code == 0, outcome.complaint
        return outcome.text

    def lay_out(self, case: Mapping[str, Any]) -> Path:
        """Return an export with the files of CASE; a package.json stands wherever the lock has a package."""
        export = self.folder / "sf"
        lock: dict[str, Any] = case["lock"]
        package = {"name": "sf", "version": "1.0.0", **case["package"]}
        written = {**dict.fromkeys(case["files"], "x"), **case.get("text", {}), "package.json": json.dumps(package)}
        links = {**case.get("links", {})}
        for location, entry in lock.items():
            if entry.get("link"):
                links[location] = os.path.relpath(entry["resolved"], Path(location).parent)
                continue
            keys = ("version", "dependencies", "peerDependencies", "bundleDependencies")
            name = entry.get("name", location.rpartition("node_modules/")[2])
            facts = {"name": name, **{key: entry[key] for key in keys if key in entry}}
            written[f"{location}/package.json"] = json.dumps(facts)
        if name := case.get("lock_name", "package-lock.json"):
            whole = {"name": "sf", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": package, **lock}}
            written[name] = json.dumps(whole)
        for name, text in written.items():
            (export / name).parent.mkdir(parents=True, exist_ok=True)
            (export / name).write_text(text)
        for name, target in links.items():
            (export / name).parent.mkdir(parents=True, exist_ok=True)
            (export / name).symlink_to(target)
        return export

    def stage(self, export: Path, *include: str) -> Path:
        ship = self.folder / "image" / "opt" / "sf"
        contents.stage(export, ship, npm=self.npm, include=include)
        return ship

    def start(self, ship: Path, seconds: float = 60, variables: Mapping[str, str] | None = None) -> dict[str, object]:
        return contents.start(
            ship,
            environment=self.environment,
            variables=variables or {},
            scratch=self.folder,
            log=self.folder / "smoke.log",
            seconds=seconds,
            manifest=b"{}",
        )


@pytest.fixture
def bench(application: Site, tmp_path: Path) -> Workbench:
    """A workbench with the npm that the gates of the application ran with."""
    node = application.folder / ".nox" / "gates" / "node"
    (tmp_path / "home").mkdir()
    environment = {
        **process.environment(config.Gates().environment),
        "PATH": f"{node}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "npm_config_cache": str(ROOT / ".selfdeploy" / "npm"),
        "npm_config_update_notifier": "false",
        "npm_config_prefer_offline": "true",
        "npm_config_audit": "false",
    }
    return Workbench(folder=tmp_path, environment=environment)


def files(root: Path) -> set[str]:
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    return {name for name in found if not name.endswith("package.json")}


@pytest.mark.parametrize("name", CASES)
def test_what_npm_ships_of_a_tree_ships(bench: Workbench, name: str) -> None:
    case = CASES[name]
    links = {location for location, entry in case["lock"].items() if entry.get("link") and location != "node_modules/d"}

    ship = bench.stage(bench.lay_out(case))

    assert files(ship) == {*case["ships"], *links}


VERSIONS = """
const { createRequire } = require("node:module");
const asked = { ".": ["ms", "alias", "lru-cache", "yallist", "semver", "wrappy"], "packages/a": ["ms", "wrappy"] };
asked["vendor/v"] = ["debug", "wrappy"];
const version = (folder, name) => {
  try {
    return createRequire(`${process.cwd()}/${folder}/x.js`)(`${name}/package.json`).version;
  } catch { return null; }
};
const answer = ([folder, names]) => [folder, Object.fromEntries(names.map((name) => [name, version(folder, name)]))];
console.log(JSON.stringify(Object.fromEntries(Object.entries(asked).map(answer))));
"""
"""Prints which version of a package node finds from where."""

ROOT_VERSIONS = {"ms": "2.0.0", "alias": "2.1.1", "lru-cache": "6.0.0", "yallist": None, "semver": None, "wrappy": None}


@pytest.mark.parametrize("strategy", ["hoisted", "nested", "shallow", "linked"])
def test_the_packages_that_ship_are_those_that_npm_installs_for_production(bench: Workbench, strategy: str) -> None:
    package = {
        "name": "sf",
        "version": "1.0.0",
        "files": ["dist"],
        "workspaces": ["packages/*"],
        "dependencies": {"ms": "2.0.0", "v": "file:vendor/v", "alias": "npm:ms@2.1.1"},
        "devDependencies": {"debug": "4.3.4", "semver": "7.6.0"},
        "optionalDependencies": {"lru-cache": "6.0.0"},
    }
    inner = {"packages/a": {"ms": "2.1.3"}, "vendor/v": {"debug": "3.2.7"}}
    export = bench.folder / "sf"
    texts: dict[str, Any] = {"package.json": package, "dist/loader.js": ""}
    for folder, needs in inner.items():
        name = folder.rpartition("/")[2]
        texts[f"{folder}/package.json"] = {"name": name, "version": "1.0.0", "dependencies": needs}
        texts[f"{folder}/package.json"]["devDependencies"] = {"wrappy": "1.0.2"}
    for name, value in texts.items():
        (export / name).parent.mkdir(parents=True, exist_ok=True)
        (export / name).write_text(json.dumps(value))
    (export / ".npmrc").write_text(f"install-strategy={strategy}")
    bench.run("npm", "install", cwd=export)
    bench.run("npm", "ci", cwd=export)
    fresh = bench.folder / "fresh"
    shutil.copytree(export, fresh, symlinks=True)
    bench.run("npm", "ci", "--omit=dev", cwd=fresh)
    expected = {name for name in files(fresh) if "node_modules" in name and "/.package-lock" not in name}

    before = {path: path.lstat().st_mtime_ns for path in export.rglob("*") if path.is_dir()}
    ship = bench.stage(export)

    assert {name for name in files(ship) if "node_modules" in name} == expected
    found = json.loads(bench.run("node", "-e", VERSIONS, cwd=ship))
    assert found == json.loads(bench.run("node", "-e", VERSIONS, cwd=fresh))
    assert found["."] | {"yallist": None} == ROOT_VERSIONS
    assert found["packages/a"] == {"ms": "2.1.3", "wrappy": None}
    assert found["vendor/v"]["debug"] == "3.2.7"
    assert {path: path.lstat().st_mtime_ns for path in before} == before  # npm has written nothing there


def pack(bench: Workbench, to: Path, package: dict[str, Any]) -> None:
    """Pack PACKAGE as a tarball into the folder TO."""
    folder = bench.folder / "packing" / package["name"]
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps(package))
    (folder / "i.js").touch()
    bench.run("npm", "pack", "--silent", f"--pack-destination={to}", cwd=folder)


def test_the_linked_store_ships_tarballs_and_optional_peers_as_npm_does(bench: Workbench) -> None:
    export = bench.folder / "sf"
    (export / "dist").mkdir(parents=True)
    (export / "dist" / "loader.js").touch()
    peers = {"peerDependencies": {"buf": "1"}, "peerDependenciesMeta": {"buf": {"optional": True}}}
    packages: dict[str, dict[str, Any]] = {"x": peers, "buf": {}, "dev": {"dependencies": {"ms": "2.0.0"}}}
    for name, more in packages.items():
        pack(bench, export, {"name": name, "version": "1.0.0", **more})
    package = {
        "name": "sf",
        "version": "1.0.0",
        "files": ["dist"],
        "dependencies": {"x": "file:x-1.0.0.tgz"},
        "devDependencies": {"buf": "file:buf-1.0.0.tgz", "dev": "file:dev-1.0.0.tgz"},
    }
    (export / "package.json").write_text(json.dumps(package))
    (export / ".npmrc").write_text("install-strategy=linked")
    bench.run("npm", "install", cwd=export)

    shipped = bench.stage(export) / "node_modules"

    entries = {path.name.partition("-")[0] for path in (shipped / ".store").iterdir()}
    assert entries == {"x@1.0.0", "buf@1.0.0"}  # as `npm ci --omit=dev`, which links the peer that is there
    assert (shipped / "x" / "i.js").is_file()
    assert not os.path.lexists(shipped / "buf")


def test_equal_trees_make_equal_bytes(bench: Workbench) -> None:
    export = bench.lay_out(CASES["files overlap"])
    first = bench.stage(export)
    one = tree.digest(first)
    first.rename(bench.folder / "first")
    for path in sorted(export.rglob("*"), reverse=True):
        os.utime(path, (5, 5), follow_symlinks=False)

    assert tree.digest(bench.stage(export)) == one


@pytest.mark.parametrize("pattern", [".", "", "/", "*", "../x", "[", "{", "!(", "**/**/***", "a**", "\\", "💥", " "])
def test_no_pattern_of_files_ends_in_anything_but_a_tree_or_an_error(bench: Workbench, pattern: str) -> None:
    case = {"package": {"files": ["dist/loader.js", pattern]}, "lock": {}, "files": ["dist/loader.js", "src/x.ts"]}

    assert "dist/loader.js" in files(bench.stage(bench.lay_out(case)))


def test_a_tree_without_the_loader_is_refused_with_what_ships_instead(bench: Workbench) -> None:
    case = {"package": {"files": ["."]}, "lock": {}, "files": ["dist/loader.js"]}  # npm takes it for no folder

    with pytest.raises(errors.ContentsIncomplete, match="^dist/loader.js: not among the files") as refused:
        bench.stage(bench.lay_out(case))

    assert "package.json ship" in refused.value.hint


def test_a_production_package_that_no_gate_left_is_missed(bench: Workbench) -> None:
    export = bench.lay_out(CASES["a workspace package has its own version of a dependency"])
    shutil.rmtree(export / "packages" / "a" / "node_modules" / "x")

    with pytest.raises(errors.ContentsIncomplete, match="^packages/a/node_modules/x: required by the lock file"):
        bench.stage(export)


def test_a_package_of_another_version_than_the_lock_s_is_refused(bench: Workbench) -> None:
    export = bench.lay_out(CASES["npm-shrinkwrap.json is the lock file"])
    (export / "node_modules/x/package.json").write_text('{"name": "x", "version": "1.5.0"}')

    with pytest.raises(errors.ContentsIncomplete, match="requires version 1.0.0, the gates left 1.5.0"):
        bench.stage(export)


def test_a_package_json_that_npm_refuses_is_refused_with_npm_s_words(bench: Workbench) -> None:
    case = {"package": {"files": ["dist"], "bin": {"a": {"b": 5}}, "main": 7}, "lock": {}, "files": ["dist/loader.js"]}
    export = bench.lay_out(case)
    (export / "node_modules").mkdir()
    (export / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {"node_modules/x": {"version": 5}}}')

    with pytest.raises(errors.SelfdeployError) as refused:
        bench.stage(export)

    assert "Traceback" not in refused.value.message


# Native modules


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compile a native module that loads, or needs what is not there."""
    if not shutil.which("gcc"):
        pytest.skip("missing here: gcc")
    folder = tmp_path_factory.mktemp("native")

    def compile_one(code: str = "void *napi_register_module_v1(void *e, void *x) { return x; }") -> bytes:
        (folder / "x.c").write_text(code)
        argv = ["gcc", "-shared", "-fPIC", "-o", str(folder / "x.node"), str(folder / "x.c")]
        subprocess.run(argv, check=True, timeout=60)
        return (folder / "x.node").read_bytes()

    return compile_one


def test_native_modules_have_to_load_and_those_for_others_are_left_alone(
    bench: Workbench, library: Callable[..., bytes]
) -> None:
    good = library()
    missing = library("void missing(void); void *napi_register_module_v1(void *e, void *x) { missing(); return x; }")
    crash = library("void *napi_register_module_v1(void *e, void *x) { *(volatile int *)0 = 1; return x; }")
    ship = bench.folder / "ship"
    modules = {
        "a/build/Release/a.node": good,
        "a/prebuilds/linux-x64/old.node": missing,
        "b/prebuilds/darwin-arm64/b.node": b"\xcf\xfa\xed\xfe" + bytes(64),
        "b/prebuilds/linux-x64/b.node": good,
        "b/prebuilds/linux-x64/electron.node": b"\x7fELF" + bytes(14) + b"\xff\x00" + bytes(64),
    }
    for name, data in modules.items():
        (ship / name).parent.mkdir(parents=True, exist_ok=True)
        (ship / name).write_bytes(data)

    loaded = native.load(ship, bench.environment)
    for name, data in {"bad/x.node": missing, "crash/x.node": crash, "no/x.node": b"text, and not short"}.items():
        (ship / name).parent.mkdir()
        (ship / name).write_bytes(data)
    with pytest.raises(errors.ContentsIncomplete) as refused:
        native.load(ship, bench.environment)

    assert loaded["loaded"] == ["a/build/Release/a.node", "b/prebuilds/linux-x64/b.node"]
    assert len(loaded["skipped"]) == 3
    bad, crashed, text = refused.value.message.splitlines()
    assert bad.startswith("bad/x.node: does not load: ")
    assert "undefined symbol: missing" in bad
    assert crashed == "crash/x.node: does not load: ended with SIGSEGV"
    assert text.startswith("no/x.node: does not load: Error")


# The start

SERVER = """
const { createServer } = require("node:http");
const { lookup } = require("node:dns");
const fs = require("node:fs");
const write = (path) => {
  try { fs.writeFileSync(path, ""); fs.rmSync(path); } catch (error) { return error.code; }
};
const [tree, root] = [write(`${__dirname}/written`), write("/var/tmp/selfdeploy-written")];
fs.writeFileSync("/tmp/selfdeploy-written", "");
fs.rmSync("/tmp/selfdeploy-written");
fs.writeFileSync(`${process.env.HOME}/written`, "");
const names = Object.keys(process.env).sort();
const { uid: user, username, homedir } = require("node:os").userInfo();
const facts = { argv: process.argv.slice(3), user, username, homedir, tree, root, names };
fs.readFileSync(process.env.SF_RELEASE_MANIFEST);
lookup("localhost.example", (error) => console.log(JSON.stringify({ ...facts, network: error && error.code })));
createServer((request, response) => {
  response.writeHead(request.url === "/api/healthz" ? 200 : 404);
  response.end();
}).listen(4000, "0.0.0.0");
"""


def a_tree(bench: Workbench, server: str) -> Path:
    ship = bench.folder / "image" / "opt" / "sf"
    (ship / "dist").mkdir(parents=True)
    (ship / "dist" / "loader.js").write_text(server)
    return ship


def test_the_server_is_started_as_in_the_image_and_without_a_network(bench: Workbench) -> None:
    started = bench.start(a_tree(bench, SERVER))

    seen = json.loads((bench.folder / "smoke.log").read_text().splitlines()[0])
    assert started["started"] is True
    assert seen["argv"][1:] == ["--host", "0.0.0.0", "--port", "4000"]  # noqa: S104 -- in a network of its own
    assert (seen["user"], seen["username"], Path(seen["homedir"]).name) == (1000, "sf", "home")
    assert (seen["tree"], seen["root"]) == ("EROFS", "EROFS")
    assert seen["network"] in {"EAI_AGAIN", "ENOTFOUND"}
    assert {"HOME", "NODE_ENV", "PATH", "SF_RELEASE_MANIFEST", "SF_WEB_HOST", "SF_WEB_PORT"} <= set(seen["names"])
    assert not [name for name in seen["names"] if "PROXY" in name.upper() or name.startswith("npm_")]
    assert not list(bench.folder.glob("smoke-*"))


NEEDS = """
const { MODE, TRACING, NODE_OPTIONS } = process.env;
if (MODE !== "on" || NODE_OPTIONS !== `--require=${__dirname}/tracing.js`) throw new Error(`without MODE: ${MODE}`);
console.log(JSON.stringify({ MODE, TRACING }));
"""


def test_the_server_is_started_with_the_site_s_variables_and_what_asks_it_is_not(bench: Workbench) -> None:
    ship = a_tree(bench, NEEDS + SERVER)
    (ship / "dist" / "tracing.js").touch()
    options = {"NODE_OPTIONS": "--require=/opt/sf/dist/tracing.js"}

    started = bench.start(ship, variables={"MODE": "on", "TRACING": "/opt/sf-traces:/opt/sf", **options})

    assert started["variables"] == ["MODE", "NODE_OPTIONS", "TRACING"]
    assert json.loads((bench.folder / "smoke.log").read_text().splitlines()[0]) == {
        "MODE": "on",
        "TRACING": f"/opt/sf-traces:{ship}",
    }
    with pytest.raises(errors.StartFailed, match="without MODE: undefined") as refused:
        bench.start(ship, variables=options)
    assert "with the variables NODE_OPTIONS; gates.smoke_variables in deploy.toml" in refused.value.hint


@pytest.mark.parametrize(
    ("server", "seconds", "message"),
    [
        ("console.log('no database'); process.exit(7);", 60, "no database\nsmoke: the server ended with exit code 7"),
        ("require('gone');", 60, "Cannot find module 'gone'"),
        ("setInterval(() => {}, 1000);", 1, "smoke: no answer to /api/healthz within 1 s; last: connect ECONNREFUSED"),
        (SERVER.replace("? 200", "? 503"), 2, "last: HTTP 503"),
        ("process.kill(process.pid, 'SIGKILL');", 60, "smoke: the server ended with SIGKILL"),
        ("const taken = []; for (;;) taken.push(Buffer.alloc(1 << 30));", 60, "Array buffer allocation failed"),
    ],
)
def test_a_server_that_does_not_start_is_refused_with_its_output(
    bench: Workbench, server: str, seconds: float, message: str
) -> None:
    with pytest.raises(errors.StartFailed, match="the staged server does not start") as refused:
        bench.start(a_tree(bench, server), seconds)

    assert message in refused.value.message


def test_processes_of_the_server_end_with_the_smoke(bench: Workbench) -> None:
    child = "require('node:child_process').spawn('sleep', ['4711.25'], { detached: true, stdio: 'ignore' }).unref();"

    bench.start(a_tree(bench, f"{child}\n{SERVER}"))

    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if b"4711.25" in line]


def test_without_unshare_the_server_is_not_started_and_why_is_in_the_facts(bench: Workbench) -> None:
    tools = bench.folder / "tools"
    tools.mkdir()
    for name in ("setpriv", "timeout"):
        (tools / name).symlink_to(shutil.which(name) or name)
    node = bench.environment["PATH"].partition(":")[0]
    without = Workbench(folder=bench.folder, environment={**bench.environment, "PATH": f"{node}:{tools}"})

    assert without.start(a_tree(bench, SERVER)) == {"started": False, "why": "unshare: not found"}
    assert without.start(bench.folder, 0) == {"started": False, "why": "gates.smoke is off"}


def test_a_machine_that_gives_no_namespaces_is_named(bench: Workbench) -> None:
    tools = bench.folder / "tools"
    tools.mkdir()
    (tools / "unshare").write_text(f"#!{sys.executable}\nraise SystemExit('unshare: unshare failed: no')\n")
    (tools / "unshare").chmod(0o755)
    path = f"{tools}:{bench.environment['PATH']}"
    without = Workbench(folder=bench.folder, environment={**bench.environment, "PATH": path})

    assert without.start(a_tree(bench, SERVER)) == {"started": False, "why": "unshare: unshare failed: no"}
