"""Clean-up of the runtimes: forget every tried release but the present one and its rollback target."""

import functools
from collections.abc import Callable, Iterable, Mapping

from selfdeploy import config, environments, errors
from selfdeploy.environments import Lock, record

KEPT = 2
"""Number of releases to keep: the present one and the rollback target."""


def kept(known: record.Record) -> tuple[record.Proven, ...]:
    """Return the last `KEPT` proven releases of KNOWN, with all their settings."""
    releases = list(dict.fromkeys(proven.release for proven in known.proven))[:KEPT]
    return tuple(proven for proven in known.proven if proven.release in releases)


def unwanted(known: record.Record, others: Iterable[record.Record]) -> dict[str, str]:
    """Return the releases that KNOWN tried and that neither KNOWN nor OTHERS keep, each with its image's digest.

    KNOWN's last attempt is kept, too. The digest is empty if a kept release has the same one.
    """
    tried = {proven.release: proven.digest for proven in known.proven}
    tried |= {attempt.release: attempt.digest for attempt in known.attempts}
    names = {name for attempt in known.attempts[:1] for name in (attempt.release, attempt.digest)}
    for each in (known, *others):
        names |= {name for proven in kept(each) for name in (proven.release, proven.digest)}
    return {release: "" if digest in names else digest for release, digest in tried.items() if release not in names}


def prune(project: config.Project, locks: Mapping[str, Lock], tell: Callable[[str], None]) -> None:
    """Delete unneeded releases of PROJECT from the runtimes of the environments in LOCKS.

    A release is unneeded if no environment of PROJECT keeps it. Everything else in use stays, and so does everything in
    a registry. TELL receives failures; the next release tries again.
    """
    found = {name: environments.connect(project, name) for name in project.environments}

    @functools.cache
    def known() -> dict[str, record.Record]:
        return {name: environment.read(locks.get(name)) for name, environment in found.items()}

    def unwanted_in(name: str) -> dict[str, str]:
        return unwanted(known()[name], [value for other, value in known().items() if other != name])

    try:
        for name in locks:
            for forgotten in found[name].forget(functools.partial(unwanted_in, name)):
                tell(f"{name}: removed {forgotten}, which no release needs any more")
    except errors.SelfdeployError as exc:
        tell(f"what is not needed any more stays for now: {exc.message}")
