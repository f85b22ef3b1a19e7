"""The Docker builder: buildx on this machine's engine, and the engine's push."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from selfdeploy import engine, errors, process
from selfdeploy.build.builders import context, record
from selfdeploy.process import surroundings

TRIAL = "dev.selfdeploy.trial"
"""Label of a temporary container that tries a base image."""

LEFT = "10m"
"""Minimum age of such a container to remove it as abandoned."""


@dataclass(frozen=True, kw_only=True)
class Docker:
    """Builds with this machine's engine, each call under TIMEOUT seconds."""

    dockerfile: Path
    arguments: Mapping[str, str]
    timeout: float
    own_files: bool = False

    def refuse_unready(self) -> None:
        """Raise `errors.BuilderUnready` unless the engine answers and the docker command has buildx."""
        refuse_silent_engine()
        if process.run(["docker", "buildx", "version"], timeout=20, check=False).code:
            raise errors.BuilderUnready("docker: it has no buildx", "install it (./bootstrap does): docker-buildx")

    def node(self, base: str) -> str:
        """Return the version of the Node that tini starts in the image BASE."""
        return run_node(base)

    def push(self, root: Path, to: str, labels: Mapping[str, str], epoch: int, *, cached: bool = True) -> str:
        """Return the digest of the image of ROOT, built and pushed to TO, from the output of the push.

        With the plain docker driver, buildx reports the digest of the image's config instead.

        Raises:
            errors.ConfigInvalid: TO is on our loopback, and the engine on another host.
        """
        engine.refuse_other_loopback(to)
        own = engine.connect("image", "")
        argv = ["docker", "buildx", "build", "--builder", own.builder, "--load", "--provenance=false"]
        argv += ["--progress=plain"]
        argv += ["--file", str(self.dockerfile), "--tag", to, *([] if cached else ["--no-cache"])]
        folder, tree = context.of(root, self.dockerfile)
        for name, value in {**self.arguments, **tree, "SOURCE_DATE_EPOCH": str(epoch)}.items():
            argv += ["--build-arg", f"{name}={value}"]
        for name, value in labels.items():
            argv += ["--label", f"{name}={value}"]
        record.run([*argv, str(folder)], to, timeout=self.timeout)
        pushed = record.run(["docker", "push", to], to, timeout=self.timeout)
        told = re.findall(r"^\S+: digest: (\S+) size: \d+$", pushed.text, re.MULTILINE)
        return record.digest(told[-1] if told else "", f"{to}: docker push")


def refuse_silent_engine() -> None:
    """Raise `errors.BuilderUnready` unless the engine of this machine, or of DOCKER_HOST, answers."""
    try:
        outcome = process.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=20, check=False)
    except (errors.ToolMissing, errors.CommandTimedOut) as exc:
        raise errors.BuilderUnready(f"docker: {exc.message}", exc.hint) from exc
    if outcome.code:
        hint = "start it (./bootstrap does), or name another builder: image.builder in deploy.toml"
        raise errors.BuilderUnready(f"docker: the engine does not answer: {outcome.complaint}", hint)


def run_node(base: str) -> str:
    """Return the version of the Node that tini starts in the image BASE, on this machine's engine.

    It also removes the trial containers that a killed process created and never started.

    Raises:
        errors.CommandFailed: tini does not start it.
    """
    left = ["--filter", f"label={TRIAL}", "--filter", f"until={LEFT}"]
    process.run(["docker", "container", "prune", "--force", *left], timeout=60, check=False)
    argv = ["docker", "run", "--rm", f"--label={TRIAL}", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    argv += ["--security-opt", "no-new-privileges", *surroundings.inside(), "--entrypoint", "tini", base]
    argv += ["--", "node", "--version"]
    return process.run(argv, timeout=600).text
