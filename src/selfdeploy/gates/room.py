"""Where the gates of one revision run, and what they leave there."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from selfdeploy import config, errors, source, tree

NOX = (sys.executable, "-B", "-m", "nox", "--session", "gates", "--")
"""What runs the gates; nox's own compiled noxfile.py would be a change of a checkout that does not ignore it."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where the gates of one revision run: the export, what ships of it, the logs and the receipt."""

    folder: Path

    @classmethod
    def of(cls, project: config.Project, revision: source.Revision) -> Self:
        """Return where the gates of REVISION run."""
        return cls(folder=project.work / "trees" / ("live" if revision.live else revision.commit))

    @property
    def export(self) -> Path:
        """The exported revision that the gates build in."""
        return self.folder / "sf"

    @property
    def ship(self) -> Path:
        """What goes into the image, at its place below the image's root: a folder is packed with its own time."""
        return self.folder / "image" / "opt" / "sf"

    @property
    def receipt(self) -> Path:
        """The receipt's file."""
        return self.folder / "receipt.json"

    @property
    def failure(self) -> Path:
        """Why the gates did not pass, for the process that had them run."""
        return self.folder / "failure.json"

    @property
    def home(self) -> Path:
        """The gates' HOME."""
        return self.folder / "home"

    @property
    def progress(self) -> Path:
        """How far the gates have come."""
        return self.folder / "progress.json"

    def listing(self, number: int) -> Path:
        """What stood in the export and the home at the moment NUMBER."""
        return self.folder / "listings" / str(number)

    def log(self, gate: str) -> Path:
        """The log of one gate."""
        return self.folder / "logs" / f"{gate}.log"

    def keep_failure(self, error: errors.SelfdeployError) -> None:
        """Write down ERROR, for which the gates did not pass, for the process that had them run."""
        failure = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        tree.write_whole(self.failure, json.dumps(failure).encode())

    def raise_failure(self) -> None:
        """Raise what made the gates fail in another process; return when it left no word."""
        try:
            data = json.loads(self.failure.read_bytes())
            kind, message, hint = (str(data[name]) for name in ("error", "message", "hint"))
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return
        kinds = {known.__name__: known for known in errors.SelfdeployError.__subclasses__()}
        raise kinds.get(kind, errors.GateFailed)(message or "the gates did not pass", hint)
