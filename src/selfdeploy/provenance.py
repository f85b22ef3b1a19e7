"""Who does this, as part of which CI run; and the evidence of a release, which its manifest leaves out."""

import getpass
import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from selfdeploy import errors

PAGE = re.compile(r"https?://[^/?#\s]+(?:/[^?#\s]*)?/[^/?#\s]+/[^/?#\s]+/actions/runs/[0-9]+")
"""The address of a run's page: the service, the owner, the repository, the run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a CI service; its `url` is empty where the service's variables name no page."""

    authority: str
    id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds an environment or tries a release, and the address of the CI run it is part of, if any.

    `took` tells at any time how many seconds each stage has taken so far; `since` is when the holder of an environment
    has had it from, in UTC and by its own clock. `uncommitted` names the project's own files that no commit has so.
    """

    who: str
    run: str = ""
    took: Callable[[], Mapping[str, float]] = field(default=dict, compare=False)
    since: str = ""
    uncommitted: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """Return it as whoever is refused is told of it."""
        return f"{self.who} since {self.since}{f' ({self.run})' if self.run else ''}"


def read_run(environment: Mapping[str, str] = os.environ) -> Run | None:
    """Return the CI run this is part of; Forgejo's variables count before GitHub's, which Forgejo sets too."""
    for authority in ("forgejo", "github"):
        prefix = authority.upper()
        number = environment.get(f"{prefix}_RUN_ID")
        if number:
            server, repository = (environment.get(f"{prefix}_{part}", "") for part in ("SERVER_URL", "REPOSITORY"))
            # A run's page is found by its number in the repository, where the service tells it.
            page = environment.get(f"{prefix}_RUN_NUMBER") if authority == "forgejo" else None
            url = f"{server.rstrip('/')}/{repository}/actions/runs/{page or number}"
            return Run(authority=authority, id=number, url=url if PAGE.fullmatch(url) else "")
    return None


def read_holder(environment: Mapping[str, str] = os.environ, took: Callable[[], Mapping[str, float]] = dict) -> Holder:
    """Return who runs this process; TOOK tells how long its stages take."""
    run = read_run(environment)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as CI containers have them
        user = str(os.getuid())
    return Holder(who=f"{user}@{socket.gethostname()}", run=run.url if run else "", took=took)


def encode(at: str, holder: Holder, run: Run | None, **facts: object) -> bytes:
    """Return the evidence of a release as bytes: when (AT), by whom, in which RUN, and FACTS of how it went."""
    value = {"schema": 1, "builtAt": at, "who": holder.who, "run": asdict(run) if run else {}, **facts}
    return json.dumps(value, sort_keys=True, indent=2).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Return the evidence that DATA, of a registry's record, holds.

    Raises:
        errors.RecordInvalid: it is no JSON object.
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise errors.RecordInvalid("evidence: no JSON", "build the release again: inv release --fresh") from exc
    if not isinstance(told, dict):
        raise errors.RecordInvalid("evidence: no JSON object", "build the release again: inv release --fresh")
    return told


def authority(evidence: Mapping[str, Any]) -> str:
    """Return which CI service EVIDENCE says built the release; empty when none did."""
    run = evidence.get("run")
    return str(run.get("authority", "")) if isinstance(run, Mapping) else ""
