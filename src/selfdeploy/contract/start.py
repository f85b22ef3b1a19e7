"""The clauses of the process: start the staged tree as the image and vega do, probe it, and stop it."""

import hashlib
import ipaddress
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import config, errors, manifest, process
from selfdeploy.contents.check import LOADER
from selfdeploy.contract import launch, pending, probes, processes, server
from selfdeploy.contract.clauses import Finding, broken, listed, not_checked, ok
from selfdeploy.contract.launch import HOST, Launch
from selfdeploy.probes import probe
from selfdeploy.probes.witness import OK, RPC, Answer

HEALTHZ = manifest.PROBES["healthz"]
SERVER = "dist/web/standalone/server.js"
STARTING = 120.0
"""Seconds to wait for the server's first answer."""

HELD = 1.0
"""How long to keep a request under way after SIGTERM, in seconds."""

DYING = 2.0
"""How long to wait for the end of a server that gave no answer, in seconds: its connections end before it does."""

ANSWERING, GOING = 10.0, 3.0
"""Seconds to wait for the answer to that request, and for the last processes to end after the server."""

READ_ONLY = re.compile(r"EROFS|read-only file system", re.IGNORECASE)
GRACEFUL = (0, 143)
"""Exit codes of a graceful end by SIGTERM: the server's own, or the signal's."""

PROCESS = tuple(f"R{number}" for number in range(1, 8))
TODO = {
    "R1": "start it by hand: node dist/loader.js server DIR --host 127.0.0.1 --port 4000, and read its output",
    "R2": "pass --host and --port on to the web host, as SF_WEB_HOST and SF_WEB_PORT",
    "R3": "set HOSTNAME from SF_WEB_HOST and PORT from SF_WEB_PORT in server.js, before Next starts",
    "R4": "on SIGTERM close the listening socket, answer what is under way, and only then exit",
    "R5": "exit with 0 once nothing is under way; pass the signal and the exit code on from the loader",
    "R6": "end what the server has started when it ends, also the web host when the loader is killed",
    "R7": "write below HOME, /workspace or /tmp",
}


def check(node: Path, tree: Path, revision: str, work: Path, project: config.Project) -> list[Finding]:
    """Check TREE, the staged tree of REVISION; return a finding for each clause of the probes and the process.

    NODE runs it, in folders below WORK.
    """
    release = _release(revision, tree)
    grace = min((one.grace for one in project.environments.values()), default=15.0)
    with launch.prepare(node, tree, work, project.tried) as one:
        before = {} if one.confined else _times(one.tree)
        findings = _Image(one, release, project, grace).findings()
        changed = [] if one.confined else [name for name, at in _times(one.tree).items() if before.get(name) != at]
        findings["R7"] = _writes(one, findings, changed)
    with launch.prepare(node, tree, work, project.tried) as one:
        findings |= _direct(one, project, findings)
    if findings["R7"].state == "broken" and findings["R1"].state == "broken":
        findings["R1"] = not_checked("R1", "it ends because of R7")
    return [findings[number] for number in (*(f"P{number}" for number in range(1, 12)), *PROCESS)]


def _release(revision: str, tree: Path) -> manifest.Manifest:
    """Return a manifest of REVISION for the server to read, with a made-up digest of TREE as its image."""
    digest = f"sha256:{hashlib.sha256(str(tree).encode()).hexdigest()}"
    return manifest.stand_in(manifest.Source(repository="local", revision=revision, path=".", tree=revision), digest)


@dataclass(frozen=True)
class _Image:
    """A start as in the image: run the loader with a manifest, and stop it with SIGTERM."""

    one: Launch
    release: manifest.Manifest
    project: config.Project
    grace: float

    def findings(self) -> dict[str, Finding]:
        one = self.one
        file = one.folder / "sf-release-manifest.json"
        file.write_bytes(self.release.bytes)
        workspace = str(one.folder / "workspace")
        argv = [str(one.tree / LOADER), "server", workspace, "--host", HOST, "--port", str(one.port)]
        began = time.monotonic()
        one.start(argv, SF_RELEASE_MANIFEST=str(file), SF_WEB_PROJECT_CWD=workspace)
        up = wait(one)
        seconds = time.monotonic() - began
        if up:
            unasked = [*(f"P{number}" for number in range(1, 12)), *PROCESS]
            return {number: not_checked(number, "the server did not come up") for number in unasked} | {up.number: up}
        found = {"R1": ok("R1", f"the first answer after {seconds:.1f} s"), "R2": _address(one)}
        wanted = probes.Wanted(fields=self.release.version, instance=socket.gethostname())
        rounds = server.ask(one.url, self.project.probes)
        found |= {finding.number: finding for finding in probes.check(rounds, wanted)}
        return found | self._inside() | self._end()

    def _inside(self) -> dict[str, Finding]:
        settings = self.project.probes
        answers = ask_inside(self.one, settings)
        if not all(answer.status for answer in answers.values()):
            self.one.end(DYING)
        rpc = probes.check_rpc(answers.get(RPC))
        if rpc.state == "broken" and not settings.rpc:
            rpc = not_checked("P10", f"probes.rpc is off, and the call gives {rpc.actual}")
        return {"P10": rpc, "P11": probes.check_extra(answers, settings.extra)}

    def _end(self) -> dict[str, Finding]:
        one = self.one
        if (code := one.code()) is not None:
            fault = _fault("R1", "a server that stays", f"exit code {code} while it was asked: {one.last_words}")
            return {"R1": fault, **{number: not_checked(number, "it ended before") for number in ("R4", "R5", "R6")}}
        try:
            request: pending.Pending | None = pending.begin((HOST, one.port), one.token, self.project.probes.timeout)
        except OSError:
            request = None
        one.terminate()
        began, status = time.monotonic(), 0
        if request:
            hold(one, request)
            status = request.finish(ANSWERING)
        code = one.end(max(0.0, self.grace - (time.monotonic() - began)))
        seconds = time.monotonic() - began
        return {
            "R4": _drained(request, status),
            "R5": _exited(code, seconds, self.grace),
            "R6": not_checked("R6", "the server did not end") if code is None else _orphans(one),
        }


def wait(one: Launch) -> Finding | None:
    """Wait for the first answer of ONE; return None, or a finding for the broken clause if none comes."""
    ends = time.monotonic() + STARTING
    while True:
        if probe.get(f"{one.url}{HEALTHZ}", 2.0).status:
            return None
        if (code := one.code()) is not None:
            return _fault("R1", f"an answer at {one.url}", f"exit code {code}: {one.last_words}")
        others = processes.listening(one.mark) - {(HOST, one.port)}
        if elsewhere := {each for each in others if _serves(*each)}:
            return _fault("R2", f"{HOST}:{one.port}", _shown(elsewhere))
        if time.monotonic() > ends:
            return _fault("R1", f"an answer within {STARTING:g} s", f"none: {one.last_words}")
        time.sleep(0.05)


def _serves(address: str, port: int) -> bool:
    """Return whether the web host, not another part of SF, listens on ADDRESS and PORT."""
    host = HOST if ipaddress.ip_address(address).is_unspecified else address
    return probe.get(f"http://{f'[{host}]' if ':' in host else host}:{port}{HEALTHZ}", 1.0).status == OK


def hold(one: Launch, request: pending.Pending) -> None:
    """Keep REQUEST under way for `HELD` seconds, or until the server ends or closes the connection."""
    ends = time.monotonic() + HELD
    while time.monotonic() < ends and one.code() is None and not request.ended():
        time.sleep(0.02)


def ask_inside(one: Launch, settings: config.Probes) -> dict[str, Answer]:
    """Return the answers to the RPC call and the extra paths, requested with the server's HOME as in a replica.

    The result is empty if the requests time out.
    """
    question = json.loads(probe.question(_release("0" * 40, one.tree), settings.model_copy(update={"rpc": True})))
    question[0] = one.port
    argv = [str(one.node), "-e", probe.SCRIPT, json.dumps(question)]
    try:
        outcome = process.run(argv, timeout=settings.timeout + 10, env=one.variables, check=False)
    except errors.CommandTimedOut:
        return {}
    return probe.read_answers(outcome.stdout)


def _fault(number: str, expected: str, actual: str) -> Finding:
    return broken(number, expected=expected, actual=actual, todo=TODO[number])


def _address(one: Launch) -> Finding:
    there = processes.listening(one.mark)
    beyond = {each for each in there if not ipaddress.ip_address(each[0]).is_loopback}
    if (HOST, one.port) not in there or beyond:
        return _fault("R2", f"{HOST}:{one.port}", _shown(beyond or there))
    return ok("R2", _shown(there))


def _shown(addresses: set[tuple[str, int]]) -> str:
    return listed([f"{address}:{port}" for address, port in sorted(addresses)]) or "no listening socket"


def _drained(request: pending.Pending | None, status: int) -> Finding:
    if request is None:
        return _fault("R4", "a connection for a request before SIGTERM", "the server takes none")
    if not status:
        return _fault("R4", f"an answer to {request.name}", "the connection ended without one")
    return ok("R4", f"{request.name}: HTTP {status}")


def _exited(code: int | None, seconds: float, grace: float) -> Finding:
    if code is None:
        return _fault("R5", f"an end within {grace:g} s", "it still runs")
    if code not in GRACEFUL:
        return _fault("R5", "exit code 0 or 143", f"exit code {code}")
    return ok("R5", f"exit code {code} after {seconds:.1f} s")


def _orphans(one: Launch) -> Finding:
    left = one.left(GOING)
    return _fault("R6", "no process", listed([each[:80] for each in left])) if left else ok("R6", "none is left")


def _times(tree: Path) -> dict[str, tuple[int, int]]:
    """Return the size and modification time (ns) of everything below TREE."""
    found = {}
    for folder, names, files in os.walk(tree):
        for name in (*names, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 -- of tens of thousands
            facts = os.lstat(path)
            found[os.path.relpath(path, tree)] = (facts.st_size, facts.st_mtime_ns)
    return found


def _refused_write(one: Launch) -> Finding | None:
    """Return a finding for R7 if ONE's log reports a write refused by the read-only root; else None."""
    line = next((line.strip() for line in one.log.splitlines() if READ_ONLY.search(line)), "")
    return _fault("R7", "no write on a read-only root", line[:200]) if line else None


def _writes(one: Launch, findings: Mapping[str, Finding], changed: list[str]) -> Finding:
    if changed:
        return _fault("R7", "an unchanged package tree", f"changed: {listed(sorted(changed))}")
    if any(finding.state == "broken" for finding in findings.values()) and (refused := _refused_write(one)):
        return refused
    if findings["R1"].state != "ok":
        return not_checked("R7", "the server did not come up")
    return ok("R7", "on a read-only root" if one.confined else "the package tree is unchanged; no mount namespace here")


def _direct(one: Launch, project: config.Project, before: Mapping[str, Finding]) -> dict[str, Finding]:
    """Start server.js alone, as vega does but without a manifest; return R3 and other newly broken findings."""
    workspace = str(one.folder / "workspace")
    web = {"SF_WEB_PROJECT_CWD": workspace, "SF_WEB_HOST": HOST, "SF_WEB_PORT": str(one.port)}
    one.start([str(one.tree / SERVER)], **web)
    if fault := wait(one):
        if refused := _refused_write(one):
            return {"R3": not_checked("R3", "it ends because of R7"), "R7": refused}
        return {"R3": _fault("R3", fault.expected, fault.actual)}
    address = _address(one)
    if address.state == "broken":
        return {"R3": _fault("R3", address.expected, address.actual)}
    found = {"R3": ok("R3", address.actual)}
    told = probes.check(server.ask(one.url, project.probes), probes.Wanted(fields={"release": None, "image": None}))
    wrong = {finding.number: finding for finding in told if finding.state == "broken"}
    return found | {
        number: wrong[number] for number in ("P5", "P6") if number in wrong and before[number].state == "ok"
    }
