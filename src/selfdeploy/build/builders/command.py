"""A custom builder: a command line with placeholders, and a file for the digest."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors, tree
from selfdeploy.build.builders import docker, record
from selfdeploy.config.image import PLACE
from selfdeploy.process import surroundings
from selfdeploy.registry import credentials


def fill(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return ARGV with VALUES in place of its placeholders."""
    return [PLACE.sub(lambda found: values[found[1]], part) for part in argv]


@dataclass(frozen=True, kw_only=True)
class Command:
    """Builds with ARGV in FOLDER, under TIMEOUT seconds; WITHOUT_CACHE follows ARGV if no cache may be used.

    It inherits the caller's environment. Tools that follow the containers project find Docker's logins there.
    """

    argv: Sequence[str]
    values: Mapping[str, str]
    folder: Path
    timeout: float
    without_cache: Sequence[str] = ()
    own_files: bool = True

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless the program exists."""
        program = self.argv[0]
        if shutil.which(program if "/" not in program else self.folder / program) is None:
            raise errors.BuilderUnready(f"{program}: not found", "install it, or name another builder")

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE, on this machine's engine."""
        return docker.run_node(base)

    def push(self, root: Path, to: str, labels: Mapping[str, str], epoch: int, *, cached: bool = True) -> str:
        """Return the digest of the image of ROOT, built and pushed to TO, from the command's digest file."""
        repository, _, tag = to.rpartition(":")
        with tree.temporary() as scratch:
            digest_file, labels_file = Path(scratch, "digest"), Path(scratch, "labels", "labels.json")
            labels_file.parent.mkdir()
            labels_file.write_text(json.dumps(labels, sort_keys=True), encoding="utf-8")
            values = {
                **self.values,
                "digest_file": str(digest_file),
                "epoch": str(epoch),
                "labels_file": str(labels_file),
                "labels_folder": str(labels_file.parent),
                "repository": repository,
                "root": str(root),
                "tag": tag,
                "to": to,
            }
            argv = fill([*self.argv, *(() if cached else self.without_cache)], values)
            record.run(argv, to, timeout=self.timeout, env=self._environment(), cwd=self.folder)
            try:
                told = digest_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                told = ""
        return record.digest(told, f"{to}: {self.argv[0]}: {{digest_file}}")

    def _environment(self) -> dict[str, str]:
        """Return our environment, with Docker's logins for skopeo and related tools."""
        logins = {"REGISTRY_AUTH_FILE": str(credentials.path())} if credentials.path().exists() else {}
        return {**logins, **surroundings.read("command")}
