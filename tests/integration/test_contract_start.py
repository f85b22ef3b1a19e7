"""`inv contract --start` with the real Node: the smallest SF that keeps the contract, and one broken at each clause."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import contract
from lab.site import Site, call
from lab.values import a_project, an_environment
from selfdeploy import errors, tree
from selfdeploy.contents import namespaces
from selfdeploy.contract import start
from selfdeploy.contract.clauses import CLAUSES, Finding

Check = Callable[..., dict[str, Finding]]
SERVER, LOADER = "dist/web/standalone/server.js", "dist/loader.js"
BRISK: dict[str, Any] = {"probes": {"interval": 0.01}, "environments": {"test": an_environment(4000, grace=3.0)}}
END = 'process.on("SIGTERM", () => server.close(() => process.exit(0)));'
LISTEN = "server.listen("


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    return contract.lay_out(tmp_path / "staged")


@pytest.fixture
def check(staged: Path, tmp_path: Path) -> Check:
    """Check the staged tree after an edit, with settings of deploy.toml."""
    work = tmp_path / "work"
    work.mkdir()

    def run(old: str = "", new: str = "", name: str = SERVER, **settings: dict[str, Any]) -> dict[str, Finding]:
        if old:
            contract.edit(staged, old, new, name)
        project = a_project(**{**BRISK, **settings})
        found = start.check(contract.node() / "node", staged, contract.REVISION, work, project)
        assert list(work.iterdir()) == []
        return {finding.number: finding for finding in found}

    return run


def states(found: dict[str, Finding], state: str) -> list[str]:
    return [number for number, finding in found.items() if finding.state == state]


def test_what_keeps_the_contract_breaks_no_clause(check: Check) -> None:
    found = check(probes={"interval": 0.01, "extra": ["/api/state"]})

    assert list(found) == [clause.number for clause in CLAUSES if clause.number[0] in "PR"]
    assert states(found, "ok") == list(found)
    assert "POST /api/rpc, half sent: HTTP 200" in found["R4"].actual


CHILD = 'require("node:child_process").spawn("sleep", ["60"], {detached: true, stdio: "ignore", env: ENV}).unref();'

VARIANTS = [
    ("P1", '"/api/healthz": () => [200', '"/api/healthz": () => [401', SERVER),
    ("P2", '"/api/ready": () => [200', '"/api/ready": () => [503', SERVER),
    ("P3", "[200, version()]", '[200, "1.0.0"]', SERVER),
    ("P4", "revision, instance", "revision: process.env.SF_BUILD_REVISION, instance", SERVER),
    ("P5", ".update(bytes)", ".update(JSON.stringify(JSON.parse(bytes)))", SERVER),
    ("P5", "release: bytes &&", 'release: !bytes ? "none" :', SERVER),
    ("P6", "`${image.repository}@${image.digest}`", "image.digest", SERVER),
    ("P7", "instance: hostname()", "instance: process.env.SF_WEB_HOST", SERVER),
    ("R1", "const child =", "process.exit(3);\nconst child =", LOADER),
    ("R2", 'SF_WEB_PORT: value("--port")', 'SF_WEB_PORT: "0"', LOADER),
    ("R2", 'SF_WEB_HOST: value("--host")', 'SF_WEB_HOST: "0.0.0.0"', LOADER),
    ("R2", 'SF_WEB_HOST: value("--host")', 'SF_WEB_HOST: "::"', LOADER),
    ("R4", END, 'process.on("SIGTERM", () => process.exit(0));', SERVER),
    ("R4", END, "", SERVER),
    ("R5", END, END.replace("exit(0)", "exit(1)"), SERVER),
    ("R6", LISTEN, f"{CHILD.replace('ENV', 'process.env')}\n{LISTEN}", SERVER),
    ("R6", LISTEN, f"{CHILD.replace('ENV', '{PATH: process.env.PATH}')}\n{LISTEN}", SERVER),
    ("R7", LISTEN, f'writeFileSync(`${{__dirname}}/cache`, "x");\n{LISTEN}', SERVER),
]


@pytest.mark.parametrize(
    ("number", "old", "new", "name"), VARIANTS, ids=[f"{number}-{at}" for at, (number, *_) in enumerate(VARIANTS)]
)
def test_a_broken_server_fails_at_its_clause(check: Check, number: str, old: str, new: str, name: str) -> None:
    found = check(old, new, name)

    assert states(found, "broken") == [number], [finding.text for finding in found.values()]
    assert found[number].expected
    assert found[number].actual
    assert found[number].todo


def test_a_server_that_reads_next_s_variables_alone_fails_without_its_loader(staged: Path, check: Check) -> None:
    contract.edit(staged, "SF_WEB_HOST: value", "HOSTNAME: value", LOADER)
    contract.edit(staged, "SF_WEB_PORT: value", "PORT: value", LOADER)

    found = check(
        "server.listen(Number(process.env.SF_WEB_PORT), process.env.SF_WEB_HOST)",
        'server.listen(Number(process.env.PORT ?? "0"), process.env.HOSTNAME)',
    )

    assert states(found, "broken") == ["R3"]
    assert found["R3"].expected.startswith("127.0.0.1:")


def test_a_server_that_sigterm_does_not_end_is_broken_and_leaves_nothing(check: Check) -> None:
    found = check(END, 'process.on("SIGTERM", () => {});')

    assert states(found, "broken") == ["R5"]
    assert found["R5"].actual == "it still runs"
    assert found["R6"].state == "not checked"


def test_a_server_that_dies_of_a_question_does_not_stay(check: Check) -> None:
    found = check("return [200, { jsonrpc", "process.exit(4);\n    return [200, { jsonrpc")

    assert states(found, "broken") == ["R1"]
    assert "exit code 4 while it was asked" in found["R1"].actual
    assert found["R5"].state == "not checked"


def test_the_rpc_is_demanded_where_the_proof_asks_for_it(check: Check) -> None:
    off = check('jsonrpc: "2.0", id: JSON', 'jsonrpc: "1.0", id: JSON')
    on = check(probes={"interval": 0.01, "rpc": True})

    assert (off["P10"].state, on["P10"].state) == ("not checked", "broken")
    assert "probes.rpc is off" in off["P10"].todo


def test_an_extra_path_is_asked_with_the_server_s_token(check: Check) -> None:
    probes = {"interval": 0.01, "extra": ["/api/state"]}

    bare = check(probes={**probes, "extra_token": False})
    missing = check(probes={**probes, "extra": ["/api/state", "/api/none"]})

    assert states(bare, "broken") == ["P11"]
    assert "/api/state: HTTP 401" in bare["P11"].actual
    assert states(missing, "broken") == ["P11"]
    assert "/api/none: HTTP 404" in missing["P11"].actual


def test_a_server_that_reads_no_body_is_drained_by_a_request_half_sent(check: Check) -> None:
    check("JSON.parse(body).id", "1")
    kept = check("for await (const chunk of request) body += chunk;", "")
    broken = check(END, 'process.on("SIGTERM", () => process.exit(0));')

    assert kept["R4"].state == "ok"
    assert "GET /api/healthz, half sent: HTTP 200" in kept["R4"].actual
    assert broken["R4"].state == "broken"


def test_without_a_mount_namespace_the_server_runs_on_a_copy(
    staged: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "OWN", ("false",))
    before = tree.digest(staged)
    clean = check()

    found = check(LISTEN, f'writeFileSync(`${{__dirname}}/cache`, "x");\n{LISTEN}')

    assert states(clean, "broken") == []
    assert "the package tree is unchanged" in clean["R7"].actual
    assert states(found, "broken") == ["R7"]
    assert "dist/web/standalone/cache" in found["R7"].actual
    assert not (staged / "dist/web/standalone/cache").exists()
    assert before != tree.digest(staged)  # by the edit alone


def test_the_server_is_checked_with_the_variables_that_a_release_starts_it_with(check: Check) -> None:
    environment = an_environment(4000, grace=3.0, variables={"MODE": "on"})
    needs = f'if (process.env.MODE !== "on") {{ console.error("no MODE"); process.exit(9); }}\n{LISTEN}'

    given = check(LISTEN, needs, environments={"test": environment})
    without = check()

    assert states(given, "broken") == []
    assert without["R1"].state == "broken"
    assert "no MODE" in without["R1"].actual


def test_the_bundled_application_keeps_every_clause(application: Site) -> None:
    done = call(sys.executable, "-m", "invoke", "contract", "--start", "--json", cwd=application.folder)

    told = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert {finding["clause"]: finding["state"] for finding in told["clauses"]} == {
        **{clause.number: "ok" for clause in CLAUSES if clause.number[0] in "PR"},
        "P11": "not checked",
    }
    assert application.shipped.is_dir()
    again = call(sys.executable, "-m", "invoke", "plan", "--json", cwd=application.folder)
    assert '"gates"' in again.stdout


def test_a_revision_without_a_staged_tree_is_refused(tmp_path: Path) -> None:
    checkout = tmp_path / "sf"
    checkout.mkdir()
    for argv in (
        ["init", "--quiet"],
        ["-c", "user.name=t", "-c", "user.email=t@l", "commit", "--allow-empty", "-qm", "x"],
    ):
        assert call("git", *argv, cwd=checkout).returncode == 0

    done = call(str(Path(sys.executable).with_name("selfdeploy")), "contract", "--start", cwd=checkout)

    assert done.returncode == errors.GatesIncomplete.exit_code
    assert "inv gates" in done.stderr
