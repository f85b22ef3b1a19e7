"""The BuildKit builder: buildctl builds and pushes with a buildkitd, without a Docker engine."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import errors, process, tree
from selfdeploy.build.builders import context, record

FITNESS = """\
ARG BASE
FROM ${BASE}
RUN --network=none ["tini", "--", "node", "--version"]
"""


@dataclass(frozen=True, kw_only=True)
class BuildKit:
    """Builds with the buildkitd at ADDRESS, or else at BUILDKIT_HOST, each call under TIMEOUT seconds.

    buildctl reads the registry's credentials from Docker's config.json, and passes them on for as long as it runs.
    """

    dockerfile: Path
    arguments: Mapping[str, str]
    timeout: float
    address: str = ""
    insecure: bool = False
    own_files: bool = False

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless buildkitd answers."""
        if not self.address and "BUILDKIT_HOST" not in os.environ:
            raise errors.BuilderUnready("buildkit: no address", "set BUILDKIT_HOST, or image.buildkit in deploy.toml")
        try:
            outcome = process.run(self._argv("debug", "workers"), timeout=20, check=False)
        except (errors.ToolMissing, errors.CommandTimedOut) as exc:
            raise errors.BuilderUnready(f"buildkit: {exc.message}", exc.hint) from exc
        if outcome.code:
            where = self.address or os.environ["BUILDKIT_HOST"]
            raise errors.BuilderUnready(
                f"buildkit: {where} does not answer: {outcome.complaint}", "start buildkitd, or name another address"
            )

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE, from a build that is not kept."""
        with tree.temporary() as scratch:
            file = Path(scratch, "Dockerfile")
            file.write_text(FITNESS)
            argv = self._build(Path(scratch), file, {"BASE": base}, cached=False)
            outcome = process.run(argv, timeout=600)
        told = re.findall(r"^#\d+ [\d.]+ (v[\d.]+)$", outcome.stderr.decode(errors="replace"), re.MULTILINE)
        return told[-1] if told else ""

    def push(self, root: Path, to: str, labels: Mapping[str, str], epoch: int, *, cached: bool = True) -> str:
        """Return the digest of the image of ROOT, built and pushed to TO, from buildctl's metadata file."""
        folder, given = context.of(root, self.dockerfile)
        arguments = {**self.arguments, **given, "SOURCE_DATE_EPOCH": str(epoch)}
        output = f"type=image,name={to},push=true,rewrite-timestamp=true,oci-mediatypes=true"
        output += ",registry.insecure=true" if self.insecure else ""
        with tree.temporary() as scratch:
            metadata = Path(scratch, "metadata.json")
            argv = self._build(folder, self.dockerfile, arguments, cached=cached)
            for name, value in labels.items():
                argv += ["--opt", f"label:{name}={value}"]
            record.run([*argv, "--metadata-file", str(metadata), "--output", output], to, timeout=self.timeout)
            try:
                told = json.loads(metadata.read_bytes())["containerimage.digest"]
            except (OSError, ValueError, LookupError, TypeError, RecursionError):
                told = ""
        return record.digest(str(told), f"{to}: buildctl's metadata")

    def _build(self, folder: Path, dockerfile: Path, arguments: Mapping[str, str], *, cached: bool) -> list[str]:
        argv = self._argv("build", "--progress", "plain", "--frontend", "dockerfile.v0")
        argv += ["--local", f"context={folder}", "--local", f"dockerfile={dockerfile.parent}"]
        argv += ["--opt", f"filename={dockerfile.name}", *([] if cached else ["--no-cache"])]
        for name, value in arguments.items():
            argv += ["--opt", f"build-arg:{name}={value}"]
        return argv

    def _argv(self, *argv: str) -> list[str]:
        address: Sequence[str] = ("--addr", self.address) if self.address else ()
        return ["buildctl", *address, *argv]
