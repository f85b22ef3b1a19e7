"""The folder in which the gates of one revision run, and its files."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from selfdeploy import config, errors, source, tree

NOX = (sys.executable, "-B", "-m", "nox", "--session", "gates", "--")
"""The command that runs the gates. `-B`: nox's compiled noxfile.py would change a checkout that does not ignore it."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """The folder for the gates of one revision: the export, its shipped files, the logs and the receipt."""

    folder: Path

    @classmethod
    def of(cls, project: config.Project, revision: source.Revision) -> Self:
        """Return the room for the gates of REVISION."""
        return cls(folder=project.work / "trees" / ("live" if revision.live else revision.commit))

    @property
    def export(self) -> Path:
        """The exported revision, in which the gates build."""
        return self.folder / "sf"

    @property
    def ship(self) -> Path:
        """The image's files, at their place below the image's root: a folder is packed with its own time."""
        return self.folder / "image" / "opt" / "sf"

    @property
    def receipt(self) -> Path:
        """The receipt's file."""
        return self.folder / "receipt.json"

    @property
    def packages(self) -> Path:
        """The file with the npm packages that ship, for the SBOM."""
        return self.folder / "packages.json"

    @property
    def failure(self) -> Path:
        """The file with the gates' error, for the process that started them."""
        return self.folder / "failure.json"

    @property
    def home(self) -> Path:
        """The gates' HOME."""
        return self.folder / "home"

    @property
    def progress(self) -> Path:
        """The file with the progress of the gates."""
        return self.folder / "progress.json"

    def listing(self, number: int) -> Path:
        """Return the file of the listing NUMBER, of the export and the home."""
        return self.folder / "listings" / str(number)

    def log(self, gate: str) -> Path:
        """Return the log file of one gate."""
        return self.folder / "logs" / f"{gate}.log"

    def keep_failure(self, error: errors.SelfdeployError) -> None:
        """Save ERROR, the failure of the gates, for the process that started them."""
        failure = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        tree.write_whole(self.failure, json.dumps(failure).encode())

    def raise_failure(self) -> None:
        """Raise the error of the gates in another process; return if that process left none."""
        try:
            data = json.loads(self.failure.read_bytes())
            kind, message, hint = (str(data[name]) for name in ("error", "message", "hint"))
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return
        kinds = {known.__name__: known for known in errors.SelfdeployError.__subclasses__()}
        raise kinds.get(kind, errors.GateFailed)(message or "the gates did not pass", hint)
