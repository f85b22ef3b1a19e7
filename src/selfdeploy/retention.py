"""What a runtime may forget: all that an environment has tried, but for what it runs and what came before that."""

import functools
from collections.abc import Callable, Iterable, Mapping

from selfdeploy import config, environments, errors
from selfdeploy.environments import Lock, record

KEPT = 2
"""The present release, and the one that a rollback brings back."""


def kept(known: record.Record) -> tuple[record.Proven, ...]:
    """Return what is kept of KNOWN: as many of the releases that it proved last as `KEPT`, under all their settings."""
    releases = list(dict.fromkeys(proven.release for proven in known.proven))[:KEPT]
    return tuple(proven for proven in known.proven if proven.release in releases)


def unwanted(known: record.Record, others: Iterable[record.Record]) -> dict[str, str]:
    """Return the releases that KNOWN has tried and neither it nor OTHERS keep, each with its image's digest.

    The digest is empty where a release that is kept has the same.
    """
    tried = {proven.release: proven.digest for proven in known.proven}
    tried |= {attempt.release: attempt.digest for attempt in known.attempts}
    names = {name for attempt in known.attempts[:1] for name in (attempt.release, attempt.digest)}
    for each in (known, *others):
        names |= {name for proven in kept(each) for name in (proven.release, proven.digest)}
    return {release: "" if digest in names else digest for release, digest in tried.items() if release not in names}


def prune(project: config.Project, locks: Mapping[str, Lock], tell: Callable[[str], None]) -> None:
    """Have the runtimes of the environments that LOCKS holds forget what no environment of PROJECT needs any more.

    What anything else uses stays, and so does all that is in a registry. What cannot be forgotten now is TOLD, and
    is tried again after the next release.
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
