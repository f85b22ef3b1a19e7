"""The built wheel in a fresh repository that holds the application, and the workflow it brings, run for real."""

import contextlib
import json
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import children, registry, runner
from lab.forge import Forge
from lab.needed import need
from lab.registry import Registry
from lab.runner import Runner, kept_in
from lab.site import ROOT, Done, Site, call
from lab.tokens import Login
from selfdeploy.trust import keys

TOKEN, PASSWORD = "t0ken-of-the-run", "passw0rd-of-the-registry"
STEPS = ("Check out", "Install selfdeploy", "Record", "Gates", "Build", "Manifest", "Test", "Prod")


@dataclass(frozen=True, kw_only=True)
class Repository(Site):
    """SF's own repository, in which `selfdeploy init` wrote what it lacked, as a person has it."""

    venv: Path
    runner: Runner

    @property
    def checkout(self) -> Path:
        return self.folder / "sf"

    def run(self, *argv: str, **environment: str) -> Done:
        """Run a command of the installed package."""
        path = f"{self.venv / 'bin'}:{os.environ['PATH']}"
        given = {**self.environment, **environment, "PATH": path}
        return call(str(self.venv / "bin" / argv[0]), *argv[1:], cwd=self.checkout, env=given)

    @property
    def values(self) -> Path:
        """What says where prod is, outside the repository."""
        return self.folder / "values.yaml"

    def settle(self, *, test: str = "", top: str = "") -> None:
        """Write deploy.toml as a person does, with TEST in the test environment's; where prod is stands elsewhere."""
        look = f"[gates.override.look]\ncommand = {json.dumps(['sh', '-c', LOOK])}\n"
        self.configure(test=test, top=f"{look}{top}")
        written = (self.folder / "deploy.toml").read_text().replace('path = "sf"', 'path = "."')
        (self.checkout / "deploy.toml").write_text(written.replace(f"port = {self.ports[1]}", "port = 1"))
        self.values.write_text(f"environments:\n  prod:\n    port: {self.ports[1]}\n")

    def push(self, message: str = "change") -> str:
        """Commit all that is there, push it and return the revision."""
        revision = self.commit(message)
        self.git("push", "--quiet", "origin", "main")
        return revision

    def newest(self, environment: str) -> dict[str, str]:
        """Return the last attempt on ENVIRONMENT."""
        told = json.loads(self.run("inv", "history", "-e", environment, "--json").stdout.splitlines()[-1])
        found: dict[str, str] = told["items"][0]
        return found


@contextlib.contextmanager
def watching(*secrets: str) -> Iterator[set[str]]:
    """Look, while the block runs, for SECRETS in the argument lists of all processes; those found are what it gives."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                    found.update(secret for secret in secrets if secret.encode() in line)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(runner.MISSING)
    folder = tmp_path_factory.mktemp("wheel")
    done = call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def sf(wheel: Path, ship: Path, repository: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A fresh repository with what the built wheel writes into it, pushed to a forge with a runner."""
    need(registry.MISSING)
    assert repository  # so the engine has a base image
    folder = tmp_path_factory.mktemp("repository")
    venv = folder / "venv"
    children.run([sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(venv)], timeout=300)
    argv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(venv / "bin" / "python")]
    children.run([*argv, str(wheel)], timeout=600)
    login = Login(user="ci", password=PASSWORD)
    with Forge(folder / "forge", token=TOKEN) as forge, Registry(login=login) as images:
        (folder / "docker").mkdir()
        (folder / "docker" / "config.json").write_text('{"credsStore": "selfdeploy"}')
        values = {"SF_DEPLOY_VALUES": str(folder / "values.yaml")}
        person = {"SF_REGISTRY_USER": "ci", "SF_REGISTRY_TOKEN": PASSWORD, **values}
        made = Repository(
            folder=folder,
            repository=f"{images.name}/sf",
            ship=ship,
            venv=venv,
            environment={**person, "DOCKER_CONFIG": str(folder / "docker")},
            runner=Runner(
                folder=folder / "runner",
                forge=forge,
                token=TOKEN,
                variables={"SF_REGISTRY_USER": "ci", **values},
                secrets={"SF_REGISTRY_TOKEN": PASSWORD},
            ),
        )
        made.runner.folder.mkdir()
        ignore = shutil.ignore_patterns("node_modules", "dist", ".next")
        shutil.copytree(ROOT / "examples" / "sf", made.checkout, ignore=ignore)
        made.git("init", "--quiet", "--initial-branch", "main")
        made.git("remote", "add", "origin", str(forge.repository))
        done = made.run("selfdeploy", "init")
        assert done.returncode == 0, done.stderr
        (made.checkout / ".forgejo" / "selfdeploy.txt").write_text(f"selfdeploy @ {wheel.as_uri()}\n")
        made.settle()
        made.push("one")
        try:
            yield made
        finally:
            made.runner.close()
            made.close()
            pushed = made.docker("images", "--quiet", "--filter", f"reference={images.name}/*").stdout.split()
            made.docker("rmi", "--force", *set(pushed))


LOOK = r"""
for place in /proc/self /proc/[0-9]*; do tr '\0' '\n' <"$place/environ"; done 2>/dev/null |
grep -E '^(FORGEJO|GITHUB|ACTIONS_RUNTIME|SF_REGISTRY)_TOKEN=.' && exit 1 || exit 0
"""
"""A gate that fails when it finds a secret of the run's in any process that it sees."""


def test_the_wheel_carries_what_ships(wheel: Path) -> None:
    shipped = [*ROOT.glob("templates/**/*"), *ROOT.glob("docker/*"), *ROOT.glob("docs/*"), ROOT / "compose.vega.yml.j2"]
    names = {f"selfdeploy/{path.relative_to(ROOT)}" for path in shipped if path.is_file() and path.suffix != ".pyc"}

    with zipfile.ZipFile(wheel) as told:
        assert names <= set(told.namelist())


@pytest.fixture(scope="module")
def green(sf: Repository) -> tuple[runner.Run, set[str], str]:
    """The run of a first push, the secrets that were seen in argument lists, and the revision."""
    with watching(TOKEN, PASSWORD) as seen:
        run = sf.runner.start(sf.checkout)
        run.wait()
    return run, seen, sf.revision


def test_a_push_is_released_to_test_and_prod_by_the_file_as_it_is_shipped(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    run, _, revision = green

    assert run.wait() == 0, run.text
    assert [step for step in STEPS if not run.passed(step)] == []
    assert sf.version("test")["revision"] == sf.version("prod")["revision"] == revision
    shipped = ROOT / "templates" / "repository" / "self-deploy.yml"
    assert (sf.checkout / runner.WORKFLOW).read_bytes() == shipped.read_bytes()


def test_the_last_step_says_revision_digest_and_what_answers_where_for_how_long(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    run, _, revision = green

    told = run.step("What runs now")

    assert run.passed("What runs now")
    assert f"revision  {revision}" in told
    assert f"image     {sf.repository}@sha256:" in told
    for port in sf.ports:
        assert f"http://127.0.0.1:{port}  runs this release: {revision[:12]}, proven at" in told
        assert f"http://127.0.0.1:{port}: {revision}, healthz 200, ready 200, version 200, up " in told


def test_no_secret_is_in_a_log_an_argument_list_or_a_file(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    run, seen, _ = green
    kept = [*kept_in(sf.runner.home, TOKEN), *kept_in(sf.runner.home, PASSWORD)]

    assert sf.runner.forge.refused > 0  # so the token was asked for, and told
    assert seen == set()
    assert TOKEN not in run.text
    assert PASSWORD not in run.text
    assert kept == []
    assert sf.runner.left == []


def test_a_person_with_the_installed_package_finds_what_the_run_released(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    done = sf.run("inv", "release")

    assert done.returncode == 0, done.stderr
    assert green[2] in done.stdout
    assert "on record" in done.stderr
    assert "gate " not in done.stderr
    status = sf.run("inv", "status", "-v")
    assert f"port = {sf.ports[1]} ({sf.values}:3)" in status.stdout
    assert f"port = {sf.ports[0]} (deploy.toml)" in status.stdout
    again = sf.run("selfdeploy", "init")
    assert again.returncode == 0, again.stderr
    assert sf.git("status", "--porcelain") == ""


def test_a_new_run_of_a_recorded_revision_runs_no_gate_and_changes_nothing(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    before = sf.ids()

    run = sf.runner.start(sf.checkout)
    code = run.wait()

    assert code == 0, run.text
    assert f"on record: {green[2]}" in run.step("Record")
    assert run.step("Gates") == ""
    assert run.passed("Manifest")
    assert run.passed("Prod")
    assert sf.ids() == before
    assert TOKEN not in run.text
    assert PASSWORD not in run.text


def test_a_run_that_is_to_end_nowhere_known_changes_nothing_in_prod(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    before = sf.version("prod")
    sf.push("to nowhere")

    run = sf.runner.start(sf.checkout, "workflow_dispatch", inputs={"to": "prdo"})
    code = run.wait()

    assert code == 0, run.text
    assert run.passed("Test")
    assert run.step("Prod") == ""
    assert sf.version("prod") == before != sf.version("test")
    assert green[2] == before["revision"]


def test_a_gate_that_fails_ends_the_run_and_the_last_step_still_says_what_runs(
    sf: Repository, green: tuple[runner.Run, set[str], str]
) -> None:
    before = sf.version("prod")
    file = sf.checkout / "deploy.toml"
    good = file.read_text()
    file.write_text(good.replace('typecheck]\ncommand = ["true"]', 'typecheck]\ncommand = ["false"]'))
    revision = sf.push("a gate that fails")

    run = sf.runner.start(sf.checkout)
    code = run.wait()
    file.write_text(good)

    assert code != 0
    assert "gate typecheck: false: exit code 1" in run.step("Gates")
    assert run.step("Build") == run.step("Test") == run.step("Prod") == ""
    told = run.step("What runs now")
    assert f"revision  {revision}" in told
    assert "release   none" in told
    assert f"runs another: {green[2][:12]}" in told
    assert sf.version("prod") == before


def test_an_input_is_never_a_command(sf: Repository, tmp_path: Path) -> None:
    sf.push("hostile")
    hostile = f"$(touch {tmp_path}/a)\"; touch {tmp_path}/b; '`touch {tmp_path}/c`@sha256:{'0' * 64}"

    run = sf.runner.start(sf.checkout, "workflow_dispatch", inputs={"image": hostile})

    assert run.wait() != 0
    assert run.passed("Gates")
    assert not run.passed("Build")
    assert f"expected {sf.repository}@sha256:..." in run.step("Build")
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_run_puts_back_what_was_proven_and_lets_go(sf: Repository) -> None:
    before, slow = sf.version("test")["revision"], sf.be_slow(30)
    sf.git("push", "--quiet", "origin", "main")
    run = sf.runner.start(sf.checkout)
    run.says("⭐ Run Main Test")
    history = ("inv", "history", "-e", "test")
    children.wait_until(lambda: slow[:12] in sf.run(*history).stdout, "the attempt", seconds=120)

    run.cancel()
    code = run.wait()
    last = sf.newest("test")

    assert code != 0
    assert f"runs another: {before[:12]}, proven at" in run.step("What runs now")
    assert (last["ending"], last["revision"]) == ("cancelled, put back, proven", slow)
    assert f"{sf.runner.forge.url}/owner/sf/actions/runs/" in last["run"]
    assert sf.version("test")["revision"] == before
    assert sf.docker("ps", "--quiet", "--filter", f"name={sf.name}-t-lock").stdout == ""
    assert sf.runner.left == []


def test_of_two_pushes_at_once_the_newer_runs_in_the_end(sf: Repository) -> None:
    (sf.checkout / "scripts" / "server.cjs").write_text(
        (ROOT / "examples" / "sf" / "scripts" / "server.cjs").read_text()
    )
    older = sf.push("older")
    first = sf.runner.start(sf.checkout)
    newer = sf.push("newer")
    second = sf.runner.start(sf.checkout)

    codes = first.wait(), second.wait()

    assert codes[1] == 0, second.text
    assert sf.version("test")["revision"] == sf.version("prod")["revision"] == newer
    if codes[0]:
        why = first.step("Test") + first.step("Prod")
        assert "is older than" in why or "does not prove" in why or newer in why, first.text
    attempts = json.loads(sf.run("inv", "history", "-e", "prod", "--json").stdout.splitlines()[-1])["items"]
    assert next(a["revision"] for a in attempts if a["ending"] == "proven") == newer
    assert {a["ending"] for a in attempts} == {"proven"}
    assert older != newer


def test_what_was_built_by_hand_is_refused_and_what_forgejo_builds_afresh_is_taken(sf: Repository) -> None:
    prod = sf.version("prod")
    private, public = keys.make(sf.folder / "ours", "")
    shutil.copy(public, sf.checkout)
    sf.runner.secrets["SF_SIGNING_KEY"] = private.read_text()
    sf.settle(test='authority = "forgejo"', top='[trust]\nkeys = ["ours.pub"]\n')
    own = sf.checkout / "docker" / "Dockerfile.sf-server"
    own.parent.mkdir()
    own.write_text(f"{(ROOT / 'docker' / own.name).read_text()}LABEL own=yes\n")
    revision = sf.push("authority")

    with_key = {keys.FILE: str(private)}
    made = [sf.run("inv", step, **with_key).returncode for step in ("gates", "build", "manifest")]
    by_hand = sf.run("inv", "release", "--to", "test", **with_key)
    run = sf.runner.start(sf.checkout, "workflow_dispatch", inputs={"fresh": "true", "to": "test"})
    code = run.wait()

    assert made == [0, 0, 0]
    assert by_hand.returncode == 47, by_hand.stderr
    assert "names no Forgejo run" in by_hand.stderr
    assert code == 0, run.text
    assert "the registry has none of" in run.step("Build")
    assert run.step("Prod") == ""
    assert sf.version("test")["revision"] == revision
    assert sf.inspect("test")["Config"]["Labels"]["own"] == "yes"
    assert sf.version("prod") == prod
