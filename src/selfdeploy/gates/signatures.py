"""npm's own audit of the installed packages: their registry's signatures have to hold, where it offers keys."""

import concurrent.futures
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from selfdeploy import config, errors, process
from selfdeploy.config.surroundings import LOGIN
from selfdeploy.gates import scripts
from selfdeploy.gates.room import Room

RETRIES = ("--fetch-retry-mintimeout=1000", "--fetch-retry-factor=3")
"""npm's options to wait 1 and 3 s before its retries, and not 10 and 60 s."""

AUDIT = ("npm", "audit", "signatures", "--json", "--prefer-offline=false", *RETRIES)
"""npm's command; it asks again for cached answers."""

ASK = """
const ask = async (registry) => {
  const url = new URL("-/npm/v1/keys", registry.replace(/[/]*$/, "/"));
  const answer = await fetch(url, { signal: AbortSignal.timeout(10000) });
  answer.body?.cancel();
  return answer.status;
};
const asked = process.argv.slice(1).map((registry) => ask(registry).catch(() => 0));
Promise.all(asked).then((statuses) => console.log(JSON.stringify(statuses)));
"""
"""Prints the HTTP status of each registry's keys; 0 without an answer."""

NO_KEYS = {400, 404}
"""Statuses of a registry without keys, as npm reads them (npm's lib/utils/verify-signatures.js)."""

BROKEN = ("SIGNATURE", "ATTESTATION", "EINTEGRITY")
"""Parts of the codes of npm's errors about a signature itself."""

NAMED = 20
"""Most packages that an error names."""


class Package(pydantic.BaseModel):
    """A package in npm's answer."""

    name: str
    version: str
    registry: str = ""


class Complaint(pydantic.BaseModel):
    """npm's own error."""

    code: str | None = None
    summary: str = ""


class Answer(pydantic.BaseModel):
    """npm's answer: the packages that do not hold, or its own error."""

    invalid: tuple[Package, ...] = ()
    missing: tuple[Package, ...] = ()
    error: Complaint | None = None


def audit(
    project: config.Project,
    place: Room,
    environment: Mapping[str, str],
    apart: Sequence[str],
    tell: Callable[[str], None],
) -> dict[str, object]:
    """Return the facts of npm's audit of the packages installed in PLACE, for the receipt.

    npm runs with the ENVIRONMENT of a gate, after the argv prefix APART. TELL receives lines of progress.

    Raises:
        errors.PackagesUnsigned: a signature is not valid, or is missing where the registry offers keys.
        errors.SignaturesUnknown: npm could not check them.
    """
    if not project.gates.audit_signatures:
        return {"asked": False, "why": config.UNAUDITED}
    log = place.log("audit-signatures")
    log.unlink(missing_ok=True)
    npms = dict[str, _Npm]()
    for name, usual in scripts.INSTALLS.items():
        gate = project.gates.all[name]
        folder = scripts.prefix(gate.command) or usual
        path, timeout = place.export / folder, gate.timeout
        if has_packages(path):
            npms[folder] = _Npm(folder=path, environment=environment, apart=apart, timeout=timeout, log=log)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        told = dict(zip(npms, pool.map(_Npm.audit, npms.values()), strict=True))
    for folder, outcome in told.items():
        tell(f"npm's signatures in {folder}: {outcome}")
    return {"asked": True, "folders": told}


def has_packages(folder: Path) -> bool:
    """Return True if npm has installed packages of a registry in FOLDER, by the list that it leaves there."""
    try:
        packages = json.loads((folder / "node_modules" / ".package-lock.json").read_bytes())["packages"]
        return any(
            "node_modules/" in place and not entry.get("link") and entry.get("resolved", "http").startswith("http")
            for place, entry in packages.items()
        )
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return True  # npm says what is wrong with it


def judge(code: int, told: str, why: str, place: str) -> str:
    """Return the outcome of npm's audit of PLACE in words: its exit CODE, its answer TOLD, and WHY, the end of its log.

    Raises:
        errors.PackagesUnsigned, errors.SignaturesUnknown: as `audit` does.
    """
    try:
        answer = Answer.model_validate_json(told or "null")
    except pydantic.ValidationError:
        raise unknown(place, why or f"unexpected output: {told[:200]!a}") from None
    if answer.error:
        summary = answer.error.summary[:1000]
        if summary.startswith("found no "):  # "found no dependencies to audit that were installed from ..."
            return f"nothing to audit: {summary}"
        if any(part in (answer.error.code or "") for part in BROKEN):
            raise _unsigned(f"{place}: npm audit signatures: {summary}")
        raise unknown(place, summary or why)
    lines = [_name(kind, package) for kind in ("invalid", "missing") for package in getattr(answer, kind)]
    if lines:
        more = f"\n  and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
        named = "\n".join(f"  {line}" for line in lines[:NAMED])
        raise _unsigned(f"{place}: npm audit signatures: {len(lines)} without a valid signature\n{named}{more}")
    if code or not answer.model_fields_set >= {"invalid", "missing"}:
        raise unknown(place, why or f"unexpected output: {told[:200]!a}")
    return "valid"


def unknown(place: str, why: str) -> errors.SignaturesUnknown:
    """Return the error for PLACE, where npm could not check the signatures because of WHY."""
    return errors.SignaturesUnknown(
        f"{place}: npm audit signatures: {why}",
        "npm asks the registry and tuf-repo-cdn.sigstore.dev; run the command again when they answer, or set "
        "gates.audit_signatures = false in deploy.toml where they are out of reach",
    )


def _unsigned(message: str) -> errors.PackagesUnsigned:
    return errors.PackagesUnsigned(
        message,
        "find out who changed the package or the registry before anything of it runs; then lock another version in "
        "SF's checkout, or set gates.audit_signatures = false in deploy.toml",
    )


def _name(kind: str, package: Package) -> str:
    where = f" ({package.registry})" if package.registry else ""
    return f"{LOGIN.sub('://', f'{package.name}@{package.version}{where}')[:300]!a}: {kind} signature"


@dataclass(frozen=True, kw_only=True)
class _Npm:
    """npm in one folder, as a gate runs it; the output of its audit goes to LOG as well."""

    folder: Path
    environment: Mapping[str, str]
    apart: Sequence[str]
    timeout: float
    log: Path

    def audit(self) -> str:
        """Return the outcome of the audit, in words."""
        registries = self._list_registries()
        statuses = _parse(self._run("node", "-e", ASK, *registries))
        if registries and isinstance(statuses, list) and set(statuses) <= NO_KEYS:
            return LOGIN.sub("://", f"none offered by {', '.join(registries)}")
        outcome = self._run(*AUDIT)
        with self.log.open("ab") as file:
            file.write(outcome.stdout + outcome.stderr)
        return judge(outcome.code, outcome.text, outcome.complaint, str(self.folder))

    def _list_registries(self) -> list[str]:
        """Return npm's registries here: the default one, and those of scopes."""
        known = _parse(self._run("npm", "config", "list", "--json"))
        named = known.items() if isinstance(known, dict) else ()
        return sorted({str(url) for key, url in named if key == "registry" or key.endswith(":registry")})

    def _run(self, *argv: str) -> process.Outcome:
        argv, env = (*self.apart, *argv), {**self.environment, "NODE_USE_ENV_PROXY": "1"}
        try:
            return process.run(argv, timeout=self.timeout, cwd=self.folder, env=env, check=False)
        except errors.CommandTimedOut as exc:
            raise unknown(str(self.folder), exc.message) from exc


def _parse(outcome: process.Outcome) -> Any:  # noqa: ANN401 -- any JSON
    try:
        return json.loads(outcome.text)
    except (ValueError, RecursionError):
        return None
