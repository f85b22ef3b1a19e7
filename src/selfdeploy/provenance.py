"""The user and CI run behind a command, and the evidence of a release beside its manifest."""

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
"""The address of a run's page: service, owner, repository, run."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a CI service; `url` is empty if the service's variables do not name a page."""

    authority: str
    id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The user holding an environment or attempting a release, with the address of the CI run, if any.

    `took` returns the seconds of each stage so far. `since` is when the holder acquired the environment, in UTC by its
    own clock. `uncommitted` lists the project's own files with uncommitted changes.
    """

    who: str
    run: str = ""
    took: Callable[[], Mapping[str, float]] = field(default=dict, compare=False)
    since: str = ""
    uncommitted: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """Return it as the message to a refused user names it."""
        return f"{self.who} since {self.since}{f' ({self.run})' if self.run else ''}"


def read_run(environment: Mapping[str, str] = os.environ) -> Run | None:
    """Return the current CI run; Forgejo's variables come before GitHub's, as Forgejo sets both."""
    for authority in ("forgejo", "github"):
        prefix = authority.upper()
        number = environment.get(f"{prefix}_RUN_ID")
        if number:
            server, repository = (environment.get(f"{prefix}_{part}", "") for part in ("SERVER_URL", "REPOSITORY"))
            # Forgejo addresses a run's page by its number in the repository, GitHub by its id.
            page = environment.get(f"{prefix}_RUN_NUMBER") if authority == "forgejo" else None
            url = f"{server.rstrip('/')}/{repository}/actions/runs/{page or number}"
            return Run(authority=authority, id=number, url=url if PAGE.fullmatch(url) else "")
    return None


def read_holder(environment: Mapping[str, str] = os.environ, took: Callable[[], Mapping[str, float]] = dict) -> Holder:
    """Return this process's user and CI run; TOOK returns the seconds of its stages."""
    run = read_run(environment)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as CI containers have them
        user = str(os.getuid())
    return Holder(who=f"{user}@{socket.gethostname()}", run=run.url if run else "", took=took)


def encode(at: str, holder: Holder, run: Run | None, **facts: object) -> bytes:
    """Return the evidence of a release as JSON bytes: its time AT, HOLDER's user, RUN and other FACTS."""
    value = {"schema": 1, "builtAt": at, "who": holder.who, "run": asdict(run) if run else {}, **facts}
    return json.dumps(value, sort_keys=True, indent=2).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Return the evidence in DATA, from a release's record.

    Raises:
        errors.RecordInvalid: DATA is not a JSON object.
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise errors.RecordInvalid("evidence: no JSON", "build the release again: inv release --fresh") from exc
    if not isinstance(told, dict):
        raise errors.RecordInvalid("evidence: no JSON object", "build the release again: inv release --fresh")
    return told


def is_unaudited(evidence: Mapping[str, Any]) -> bool:
    """Return whether EVIDENCE tells that npm's signatures were not audited; an older release's does not tell."""
    contents = evidence.get("contents")
    told = contents.get("signatures") if isinstance(contents, Mapping) else None
    return isinstance(told, Mapping) and told.get("asked") is False


def authority(evidence: Mapping[str, Any]) -> str:
    """Return the CI service that built the release, by EVIDENCE; empty if none did."""
    run = evidence.get("run")
    return str(run.get("authority", "")) if isinstance(run, Mapping) else ""
