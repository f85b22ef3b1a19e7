"""The probes of a server at an address, asked as the proof asks them, without a runtime."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from selfdeploy import config, errors, manifest, probe, source
from selfdeploy.contract import probes
from selfdeploy.contract.clauses import Finding, not_checked
from selfdeploy.witness import Answer

UNASKED = "the token never leaves the server: inv contract --start asks with it"

COMMIT = re.compile(r"[0-9a-f]{40}")


def check(url: str, project: config.Project, *, revision: str = "", file: str = "") -> list[Finding]:
    """Return what the server at URL shows of each clause of the probes.

    REVISION, if given, is what it has to name; FILE is the manifest that it was started with.

    Raises:
        errors.ConfigInvalid: URL is no address of a server.
        errors.SourceUnusable: SF's checkout has no such revision.
        errors.ManifestInvalid: FILE holds no release manifest.
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
    """Return what the server at URL shows of the clause of the extra paths, if they are asked without its token."""
    if settings.extra and settings.extra_token:
        return not_checked("P11", UNASKED)
    asked = {path: probe.get(url.rstrip("/") + path, settings.timeout, probe.LARGE) for path in settings.extra}
    return probes.check_extra(asked, settings.extra)


def refuse_no_address(url: str) -> None:
    """Raise `errors.ConfigInvalid` unless URL is http or https, a host, and no login."""
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
    """Return the answers of URL to the probes, as many rounds as a proof takes."""
    rounds: list[Mapping[str, Answer]] = []
    for number in range(settings.consecutive):
        if number:
            time.sleep(settings.interval)
        rounds.append(probe.get_all(url, manifest.PROBES, settings.timeout))
        if not any(answer.status for answer in rounds[-1].values()):
            break  # nothing answers there
    return rounds
