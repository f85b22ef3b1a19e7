"""The check of a server at a URL: the proof's probes, without a container runtime."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from selfdeploy import config, errors, manifest, source
from selfdeploy.contract import probes
from selfdeploy.contract.clauses import Finding, not_checked
from selfdeploy.probes import probe
from selfdeploy.probes.witness import Answer

UNASKED = "the token never leaves the server: inv contract --start asks with it"

COMMIT = re.compile(r"[0-9a-f]{40}")


def check(url: str, project: config.Project, *, revision: str = "", file: str = "") -> list[Finding]:
    """Check the server at URL; return a finding for each clause of the probes.

    REVISION, if given, is the expected revision. FILE, if given, is the server's manifest.

    Raises:
        errors.ConfigInvalid: URL is not a server's address, FILE is missing, or REVISION is not FILE's.
        errors.SourceUnusable: SF's checkout does not have REVISION.
        errors.ManifestInvalid: FILE is not a release manifest.
    """
    refuse_no_address(url)
    fields: dict[str, object] = dict(_read_manifest(file).version) if file else {}
    if revision:
        commit = revision if COMMIT.fullmatch(revision) else source.resolve(project.source_path(), revision)
        if fields.get("revision", commit) != commit:
            raise errors.ConfigInvalid(
                f"--revision: {commit}, but {file} is of {fields['revision']}", "pass one of them"
            )
        fields["revision"] = commit
    findings = probes.check(ask(url, project.probes), probes.Wanted(fields=fields))
    return [*findings, not_checked("P10", UNASKED), _ask_extra(url, project.probes)]


def _ask_extra(url: str, settings: config.Probes) -> Finding:
    """Request the extra paths at URL and return the finding for P11; skip them if they need the token."""
    if settings.extra and settings.extra_token:
        return not_checked("P11", UNASKED)
    asked = {path: probe.get(url.rstrip("/") + path, settings.timeout, probe.LARGE) for path in settings.extra}
    return probes.check_extra(asked, settings.extra)


def refuse_no_address(url: str) -> None:
    """Raise `errors.ConfigInvalid` unless URL is http or https with a host, without login, query or fragment."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        usable = usable and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        usable = False
    if not usable:
        shown = url.rpartition("@")[2][:80]
        raise errors.ConfigInvalid(f"--url: {shown!r}: not an address", "pass http://HOST:PORT, without a login")


def _read_manifest(file: str) -> manifest.Manifest:
    path = config.place(file, "--manifest")
    if not Path(path).is_file():
        raise errors.ConfigInvalid(f"--manifest: {file!a}: no such file", "inv manifest writes one to dist/")
    return manifest.parse(path.read_bytes(), str(path))


def ask(url: str, settings: config.Probes) -> list[Mapping[str, Answer]]:
    """Return the answers of URL to the probes, in the proof's number of rounds; stop if nothing answers."""
    rounds: list[Mapping[str, Answer]] = []
    for number in range(settings.consecutive):
        if number:
            time.sleep(settings.interval)
        rounds.append(probe.get_all(url, manifest.PROBES, settings.timeout))
        if not any(answer.status for answer in rounds[-1].values()):
            break  # nothing answers there
    return rounds
