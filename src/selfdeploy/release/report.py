"""The report of a run: its release and the state of every environment; errors are part of it, never raised."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfdeploy import config, errors, provenance
from selfdeploy.build.assembly import Release
from selfdeploy.release import status as state
from selfdeploy.release.status import Status

PATIENCE = 120.0
"""Seconds for a cancelled command of the same CI run to release an environment."""

ASKED_AGAIN = 2
"""How often to ask a differing environment again: one late answer is not its state."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A revision, its release, and the state of every environment."""

    revision: str
    release: Release | None
    missing: str
    environments: Sequence[Status]

    def __str__(self) -> str:
        """Return it as `inv report` prints it."""
        lines = [f"revision  {self.revision}"]
        if self.release is None:
            lines.append(f"release   none: {self.missing}")
        else:
            told = self.release.manifest
            lines += [f"release   {told.release}", f"image     {told.image.reference}"]
            lines += [f"gate      {name}: {config.REDEFINED}" for name in told.redefined]
        for status in self.environments:
            lines.append(f"{status.name:<9} {status.url}  {self._verdict(status)}")
            lines += [f"          {way}: {told}" for way, told in status.answers.items()]
            lines += [f"          {line}" for line in status.describe_trouble()]
        return "\n".join(lines)

    def as_data(self) -> dict[str, object]:
        """Return it as JSON data."""
        told = self.release.manifest if self.release else None
        return {
            "revision": self.revision,
            "release": told.release if told else None,
            "image": told.image.reference if told else None,
            "redefined": list(told.redefined) if told else [],
            "environments": [
                {**status.as_data(), "runsRelease": self._runs_release(status)} for status in self.environments
            ],
        }

    def _runs_release(self, status: Status) -> bool:
        """Return whether the environment of STATUS has proven the release and answers as it."""
        same = bool(self.release and status.proven and self.release.manifest.release == status.proven.release)
        return same and not status.error and not status.differs

    def _verdict(self, status: Status) -> str:
        """Describe briefly whether the environment of STATUS runs the release."""
        if status.error:
            return "unknown"
        if status.proven is None:
            return "has proven nothing yet"
        proven = f"{status.proven.revision[:12]}, proven at {status.proven.at}"
        if status.differs:
            return f"does not answer as {proven}"
        return f"runs {'this release' if self._runs_release(status) else 'another'}: {proven}"


def make(
    project: config.Project, revision: str, find: Callable[[], Release | None], tell: Callable[[str], None]
) -> Report:
    """Return the report on PROJECT; FIND returns the release of REVISION, TELL receives a line about a wait."""
    try:
        release, missing = find(), f"the registry has no record of {revision}"
    except errors.SelfdeployError as exc:
        release, missing = None, exc.message.splitlines()[0]
    return Report(
        revision=revision,
        release=release,
        missing=missing,
        environments=[_read(project, name, tell) for name in project.environments],
    )


def _read(project: config.Project, name: str, tell: Callable[[str], None]) -> Status:
    """Return the state of the environment NAME, after a cancelled command of the same run has released it."""
    run = provenance.read_holder().run
    ends = time.monotonic() + PATIENCE
    told = False
    while True:
        status = state.read(project, name)
        for _ in range(ASKED_AGAIN):
            if status.differs and not status.holder:
                status = state.read(project, name)
        if not run or f"({run})" not in status.holder or time.monotonic() > ends:
            return status
        if not told:
            tell(f"{name}: waiting for the step that was cancelled to end")
        told = True
        time.sleep(1)
