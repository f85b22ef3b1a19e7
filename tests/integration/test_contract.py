"""`inv contract` on checkouts and servers that keep the contract, and on broken ones of each kind."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import children, contract
from lab.application import Built, Server
from lab.site import ROOT, Done, Site, call
from lab.values import a_manifest
from selfdeploy import errors, manifest
from selfdeploy.contract.clauses import CLAUSES

BROKEN = errors.ContractBroken.exit_code
SOURCE = [clause.number for clause in CLAUSES if clause.number.startswith("S")]


def run(*argv: str, cwd: Path) -> Done:
    return call(str(Path(sys.executable).with_name("selfdeploy")), "contract", *argv, cwd=cwd)


def read(done: Done) -> dict[str, dict[str, Any]]:
    """Return what is found of each clause, by number, as `--json` tells it."""
    results = [json.loads(line) for line in done.stdout.splitlines()]
    told = next(line for line in results if line["event"] == "result")
    return {finding["clause"]: finding for finding in told["clauses"]}


def broken(done: Done) -> list[str]:
    return [number for number, finding in read(done).items() if finding["state"] == "broken"]


class Checkout:
    """A checkout of the bundled application, to break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("node_modules", "dist", ".next")
        shutil.copytree(ROOT / "examples" / "sf", folder, ignore=ignore)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *argv: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        done = subprocess.run(["git", *who, *argv], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def change(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        told = json.loads((self.folder / name).read_text())
        change(told)
        self.write(name, json.dumps(told))

    def check(self, *argv: str) -> Done:
        return run("--source", ".", "--json", *argv, cwd=self.folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "sf")


def test_the_bundled_application_keeps_every_clause_of_the_source(checkout: Checkout) -> None:
    done = checkout.check()

    assert (done.returncode, broken(done)) == (0, [])
    assert {number: finding["state"] for number, finding in read(done).items()} == dict.fromkeys(SOURCE, "ok")


def a_submodule(checkout: Checkout) -> None:
    checkout.write(".gitmodules", '[submodule "x"]\n\tpath = vendor/x\n\turl = ../x\n')
    checkout.git("add", ".gitmodules")
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/x")


def a_link_out(checkout: Checkout) -> None:
    (checkout.folder / "packages" / "durations" / "link").symlink_to("/etc/hostname")


def a_pointer(checkout: Checkout) -> None:
    checkout.write("web/logo.png", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 10\n")


VARIANTS: list[tuple[str, Callable[[Checkout], object]]] = [
    ("S1", a_submodule),
    ("S2", a_pointer),
    ("S3", lambda one: (one.folder / "package-lock.json").unlink()),
    ("S3", lambda one: one.change("package-lock.json", lambda lock: lock.update(lockfileVersion=1))),
    ("S3", lambda one: one.change("package.json", lambda told: told["dependencies"].update(semver="^7.0.0"))),
    ("S3", lambda one: one.write("npm-shrinkwrap.json", '{"lockfileVersion": 3}')),
    ("S4", lambda one: (one.folder / "web" / "package-lock.json").unlink()),
    ("S5", lambda one: one.change("package.json", lambda told: told["scripts"].pop("typecheck:extensions"))),
    ("S6", lambda one: one.change("package.json", lambda told: told.update(files=["dist", "../other"]))),
    ("S7", lambda one: one.change("package.json", lambda told: told.update(files=["dist", "!dist/web"]))),
    ("S8", a_link_out),
    ("S9", lambda one: one.write("web/next.config.mjs", "export default { poweredByHeader: false };\n")),
    ("S10", lambda one: one.write("scripts/stamp.mjs", "process.exit(0);\n")),
]


@pytest.mark.parametrize(("number", "damage"), VARIANTS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(VARIANTS)])
def test_a_broken_checkout_fails_at_its_clause(
    checkout: Checkout, number: str, damage: Callable[[Checkout], object]
) -> None:
    damage(checkout)
    if number == "S1":
        checkout.git("commit", "--quiet", "--message", "x")
    else:
        checkout.commit()
    if number == "S10":  # the loader's message names it as well
        loader = checkout.folder / "src" / "loader.ts"
        loader.write_text(loader.read_text().replace("SF_BUILD_REVISION", "a revision"))
        checkout.commit()

    done = checkout.check()

    assert done.returncode == BROKEN, done.stderr
    assert broken(done) == [number]
    assert number in done.stderr
    finding = read(done)[number]
    assert finding["expected"]
    assert finding["actual"]
    assert finding["todo"]


def test_a_link_to_what_a_build_makes_is_kept_and_one_to_nowhere_is_not(checkout: Checkout, tmp_path: Path) -> None:
    shipped = checkout.folder / "packages" / "durations"
    (shipped / "installed").symlink_to("../../node_modules/ms/index.js")
    (shipped / "linked").symlink_to("../../node_modules/@sf/other/index.js")
    (shipped / "ignored").symlink_to("../../dist/build.json")
    checkout.commit()
    (tmp_path / "elsewhere").mkdir()
    (checkout.folder / "node_modules" / "@sf").mkdir(parents=True)
    (checkout.folder / "node_modules" / "@sf" / "other").symlink_to(tmp_path / "elsewhere")

    kept = checkout.check()
    (shipped / "lost").symlink_to("../nowhere")
    checkout.commit()
    lost = checkout.check()

    assert broken(kept) == []
    assert broken(lost) == ["S8"]
    assert read(lost)["S8"]["actual"] == "packages/durations/lost -> ../nowhere (leads nowhere)"


def test_what_is_not_committed_is_said_not_to_count(checkout: Checkout) -> None:
    (checkout.folder / "package-lock.json").unlink()

    done = run("--source", ".", cwd=checkout.folder)

    assert done.returncode == 0, done.stdout
    assert "uncommitted changes are not part of the check" in done.stderr


def test_a_folder_of_a_larger_repository_is_checked_alone(tmp_path: Path) -> None:
    inner = Checkout(tmp_path / "all")
    (tmp_path / "all" / "apps").mkdir()
    shutil.copytree(ROOT / "examples" / "sf", tmp_path / "all" / "apps" / "sf", ignore=shutil.ignore_patterns("dist"))
    a_pointer(inner)
    inner.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},apps/sf/vendor/x")
    inner.commit()

    whole, part = inner.check(), run("--source", "apps/sf", "--json", cwd=inner.folder)

    assert broken(whole) == ["S2"]
    assert (part.returncode, broken(part)) == (0, []), part.stdout


@pytest.fixture
def moved(checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout that has `web`, and the package it ships from, in submodules that are to be exported."""
    for name in ("web", "packages/durations"):
        inner = tmp_path / name.replace("/", "-")
        (checkout.folder / name).rename(inner)
        for argv in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
            checkout.git("-C", str(inner), *argv)
        checkout.git("rm", "--quiet", "-r", "--cached", name)
        checkout.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), name)
    checkout.write("deploy.toml", '[source]\npath = "."\nsubmodules = "checkout"\n')
    checkout.commit()
    return checkout


def test_the_files_of_submodules_that_are_exported_count(moved: Checkout) -> None:
    kept = moved.check()
    moved.write("deploy.toml", '[source]\npath = "."\n')
    refused = moved.check()

    assert (kept.returncode, broken(kept)) == (0, []), kept.stdout
    assert {number: finding["state"] for number, finding in read(kept).items()} == dict.fromkeys(SOURCE, "ok")
    assert "from submodules: packages/durations, web" in read(kept)["S1"]["actual"]
    assert broken(refused) == ["S1"]
    assert read(refused)["S4"]["todo"] == "the files of the submodule web are not there: see S1"


@pytest.mark.parametrize(
    ("number", "damage"),
    [
        ("S1", lambda one: one.git("submodule", "--quiet", "deinit", "--force", "web")),
        ("S2", a_pointer),
        ("S4", lambda one: (one.folder / "web" / "package-lock.json").unlink()),
        ("S8", lambda one: (one.folder / "packages" / "durations" / "lost").symlink_to("nowhere")),
        ("S8", lambda one: (one.folder / "packages" / "durations" / "out").symlink_to("../../../x")),
        ("S9", lambda one: one.write("web/next.config.mjs", "export default {};\n")),
    ],
)
def test_a_broken_submodule_fails_at_its_clause(
    moved: Checkout, number: str, damage: Callable[[Checkout], object]
) -> None:
    damage(moved)
    for name in ("web", "packages/durations") if number != "S1" else ():
        moved.git("-C", name, "add", "--all")
        moved.git("-C", name, "commit", "--quiet", "--allow-empty", "--message", "x")
    if number != "S1":
        moved.commit()

    done = moved.check()

    assert (done.returncode, broken(done)) == (BROKEN, [number]), done.stdout
    if number == "S1":
        assert "submodule update --init --recursive -- web" in read(done)["S1"]["todo"]


def test_people_read_a_line_a_clause_and_what_to_do(checkout: Checkout) -> None:
    (checkout.folder / "web" / "package-lock.json").unlink()
    checkout.commit()

    done = run("--source", ".", cwd=checkout.folder)

    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("ok ")] == [n for n in SOURCE if n != "S4"]
    at = next(index for index, line in enumerate(lines) if line.startswith("broken"))
    assert "S4" in lines[at]
    assert "npm install" in lines[at + 1]
    assert "selfdeploy help contract" in lines[at + 1]
    assert lines[-1] == "9 ok, 1 broken, 0 not checked"
    assert done.stderr.splitlines()[-2:] == [
        "error: the contract: broken: S4 web-lock",
        "hint: selfdeploy help contract says what each clause asks",
    ]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The staged tree of the smallest SF."""
    return contract.lay_out(tmp_path / "tree")


@contextlib.contextmanager
def serving(tree: Path, folder: Path, release: manifest.Manifest | None = None) -> Iterator[str]:
    """Start server.js of TREE, as vega does, with the manifest of RELEASE; give its address."""
    folder.mkdir()
    if release:
        (folder / "manifest.json").write_bytes(release.bytes)
    port = children.free_port()
    variables = {
        "HOME": str(folder),
        "HOSTNAME": socket.gethostname(),
        "SF_WEB_HOST": "127.0.0.1",
        "SF_WEB_PORT": str(port),
        "SF_WEB_PROJECT_CWD": str(folder),
        "SF_RELEASE_MANIFEST": str(folder / "manifest.json"),
    }
    argv = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    child = children.spawn(
        [*argv, str(contract.node() / "node"), str(tree / "dist/web/standalone/server.js")], folder / "log"
    )
    try:
        with children.explained_by(folder / "log"):
            children.wait_until(lambda: answers(port), "the server", seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        children.end(child)


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_a_server_is_asked_as_the_proof_asks_it(tree: Path, tmp_path: Path) -> None:
    made = a_manifest()
    file = tmp_path / "home" / "manifest.json"

    with serving(tree, tmp_path / "home", made) as url:
        shape = run("--url", url, "--json", cwd=tmp_path)
        exact = run(
            "--url", f"{url}/", "--manifest", str(file), "--revision", contract.REVISION, "--json", cwd=tmp_path
        )
        other = run("--url", url, "--revision", "b" * 40, "--json", cwd=tmp_path)

    states = {number: finding["state"] for number, finding in read(exact).items()}
    assert states == {**{f"P{number}": "ok" for number in range(1, 10)}, "P10": "not checked", "P11": "not checked"}
    assert (shape.returncode, exact.returncode, other.returncode) == (0, 0, BROKEN)
    assert read(exact)["P5"]["actual"] == made.release
    assert broken(other) == ["P4"]
    assert (read(other)["P4"]["expected"], read(other)["P4"]["actual"]) == ("b" * 40, contract.REVISION)


def test_extra_paths_that_need_no_token_are_asked_at_the_address_too(tree: Path, tmp_path: Path) -> None:
    def told(extra: str) -> dict[str, Any]:
        (tmp_path / "deploy.toml").write_text(f"[probes]\ninterval = 0.01\n{extra}")
        return read(run("--url", url, "--json", cwd=tmp_path))["P11"]

    with serving(tree, tmp_path / "home", a_manifest()) as url:
        none = told("")
        closed = told('extra = ["/api/state"]')
        open_ = told('extra = ["/api/ready"]\nextra_token = false')
        broken_ = told('extra = ["/api/ready", "/api/state"]\nextra_token = false')

    assert (none["state"], none["todo"]) == ("not checked", "probes.extra is empty")
    assert (closed["state"], "--start" in closed["todo"]) == ("not checked", True)
    assert open_["state"] == "ok"
    assert (broken_["state"], broken_["actual"]) == ("broken", "/api/state: HTTP 401")


def test_a_server_without_a_manifest_keeps_the_contract(tree: Path, tmp_path: Path) -> None:
    with serving(tree, tmp_path / "home") as url:
        done = run("--url", url, "--json", cwd=tmp_path)

    assert (done.returncode, broken(done)) == (0, [])


SERVERS = [
    ("P1", '"/api/healthz": () => [200', '"/api/healthz": () => [401'),
    ("P2", '"/api/ready": () => [200', '"/api/ready": () => [503'),
    ("P3", '"/api/version": () => [200, version()]', '"/api/version": () => [200, "1.0.0"]'),
    ("P3", '"/api/version": () =>', '"/version": () =>'),
    ("P4", "revision, instance", "revision: revision.slice(0, 12), instance"),
    ("P5", ".update(bytes)", ".update(JSON.stringify(JSON.parse(bytes)))"),
    ("P6", "`${image.repository}@${image.digest}`", "`${image.repository}:latest`"),
    ("P7", "instance: hostname()", "instance: process.env.SF_WEB_HOST"),
    ("P9", "revision, instance", 'revision: Math.random().toString(16).slice(2).padEnd(40, "0"), instance'),
]


@pytest.mark.parametrize(("number", "old", "new"), SERVERS, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(SERVERS)])
def test_a_broken_server_fails_at_its_clause(tree: Path, tmp_path: Path, number: str, old: str, new: str) -> None:
    contract.edit(tree, old, new)

    with serving(tree, tmp_path / "home", a_manifest()) as url:
        given = [] if number == "P9" else ["--manifest", str(tmp_path / "home" / "manifest.json")]
        done = run("--url", url, "--json", *given, cwd=tmp_path)

    assert done.returncode == BROKEN, done.stderr
    assert broken(done) == [number]


def test_an_address_where_nothing_answers_is_broken_and_no_traceback(tmp_path: Path) -> None:
    done = run("--url", f"http://127.0.0.1:{children.free_port()}", "--json", cwd=tmp_path)

    assert (done.returncode, broken(done)) == (BROKEN, ["P1", "P2", "P3"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", [["--revision", "HEAD"], ["--manifest", "x"], ["--url", "nowhere"]])
def test_flags_that_cannot_be_meant_are_refused(argv: list[str], tmp_path: Path) -> None:
    done = run(*argv, cwd=tmp_path)

    assert done.returncode == errors.ConfigInvalid.exit_code
    assert argv[0] in done.stderr


def test_the_bundled_application_keeps_every_clause_of_the_probes(application: Site, tmp_path: Path) -> None:
    node = application.folder / ".nox" / "gates" / "programs" / "node"
    built = Built(revision=application.revision, ship=application.shipped, node=node)
    server = Server(built=built, folder=tmp_path / "server", environment={})
    server.start()

    try:
        done = run("--url", server.url, "--revision", application.revision, "--json", cwd=tmp_path)
    finally:
        children.end(server.running)

    assert (done.returncode, broken(done)) == (0, []), done.stdout
