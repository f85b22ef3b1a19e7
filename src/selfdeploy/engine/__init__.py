"""The Docker engine of an environment, on this machine or another, through the docker command."""

import functools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pydantic
from pydantic.alias_generators import to_pascal

from selfdeploy import errors, net, process, registry
from selfdeploy.process import surroundings

if TYPE_CHECKING:
    import python_on_whales

SILENT = ("Cannot connect to the Docker daemon", "error during connect", "failed to connect", "context deadline")
"""Parts of the docker command's message if the engine does not answer."""

LOCAL = ("fd", "npipe", "unix")
"""URL schemes of engines on this machine."""

ANSWERS = "Error response from daemon"
"""Part of the docker command's message if the engine itself reports an error."""


class _Told(pydantic.BaseModel):
    """What is read of an image or a volume; the rest may be anything."""

    model_config = pydantic.ConfigDict(strict=True, alias_generator=to_pascal)

    id: str = ""
    labels: dict[str, str] | None = None
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine. NAME is its environment, HOST its address, CONTEXT the docker context with that address.

    Commands name the context, not its address, because the context may have certificates, too.
    """

    name: str
    host: str = ""
    context: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the engine is on another host, without our files and with a loopback of its own."""
        host = self.host if "://" in self.host else f"tcp://{self.host}"  # as docker reads it
        try:
            address = urlsplit(host)
            name = address.hostname or ""
        except ValueError:  # docker will report the error
            return False
        # Without a host name it is docker's default: this machine.
        return bool(name) and address.scheme not in LOCAL and not net.is_here(name)

    def argv(self, *argv: str) -> list[str]:
        """Return the docker command line ARGV, addressed to this engine."""
        host = ["--host", self.host] if self.host else []
        return ["docker", *(["--context", self.context] if self.context else host), *argv]

    @property
    def builder(self) -> str:
        """The buildx name of the engine's own builder, the only builder with access to the engine's images.

        `docker buildx use` may have made another builder the current one.
        """
        return self.context or "default"

    def run(
        self,
        *argv: str,
        timeout: float = 60,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> process.Outcome:
        """Run the docker command line ARGV and wait for its end.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: the command failed, and CHECK is set.
        """
        outcome = process.run(self.argv(*argv), timeout=timeout, stdin=stdin, env=env, check=False)
        told = outcome.complaint
        # An engine that passes on another's failure, such as a slow registry's, does answer.
        if outcome.code and ANSWERS not in told and any(text in told for text in SILENT):
            raise self.unreachable(told)
        if outcome.code and check:
            raise errors.CommandFailed(
                f"{self.name}: docker {' '.join(argv[:2])}: exit code {outcome.code}", outcome.complaint
            )
        return outcome

    def follow(self, *argv: str) -> None:
        """Run the docker command line ARGV with both outputs on our stdout, until it ends or is interrupted."""
        child = process.start(self.argv(*argv), timeout=7 * 86_400, stdout=sys.stdout.buffer, stderr=sys.stdout.buffer)
        try:
            child.wait()
        finally:
            process.end(child)

    def describe(self, kind: str, *names: str) -> bytes | None:
        """Return what the engine prints about those of NAMES, of KIND (`container`, `image`, `volume`), that exist.

        None if there is none of them.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: the command failed for another reason.
        """
        outcome = self.run(kind, "inspect", *names, timeout=30, check=False)
        lines = outcome.stderr.decode(errors="replace").lower().splitlines()
        failures = [line for line in lines if line.startswith("error")]
        gone = failures and all(f"no such {kind}" in line for line in failures)
        if outcome.code and not gone:
            raise errors.CommandFailed(
                f"{self.name}: docker {kind} inspect {', '.join(names)}: exit code {outcome.code}", outcome.complaint
            )
        return None if outcome.code and outcome.text in {"", "[]"} else outcome.stdout

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the engine's description of the KIND (`container`, `image`, `volume`) NAME; None if not found.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: the command failed for another reason, or its output has another shape.
        """
        described = self.describe(kind, name)
        if described is None:
            return None
        try:
            told: dict[str, Any] = json.loads(described)[0]
            _Told.model_validate(told)
        except (ValueError, LookupError, TypeError, RecursionError) as exc:
            raise errors.CommandFailed(
                f"{self.name}: docker {kind} inspect {name}: not what an engine says: {_reason(exc)}",
                "is that a Docker engine? docker version",
            ) from exc
        return told

    def client(
        self,
        seconds: float,
        *,
        like: str = "docker",
        **settings: Any,  # noqa: ANN401 -- passed on
    ) -> "python_on_whales.DockerClient":
        """Return a python-on-whales client with LIKE's environment; each of its calls ends within SECONDS."""
        import python_on_whales  # noqa: PLC0415 -- start-up is a feature

        where = {"context": self.context} if self.context else {"host": self.host or None}
        call = [*process.guard(seconds), *surroundings.prefix(like), "docker"]
        return python_on_whales.DockerClient(client_call=call, **where, **settings)

    def unreachable(self, why: str) -> errors.EngineUnreachable:
        """Return the error for an engine that does not answer; WHY is the reason."""
        return errors.EngineUnreachable(
            f"{self.name}: the Docker engine {self.host or 'of this machine'} does not answer: {why}",
            f"start it (./bootstrap does), or name another: environments.{self.name}.engine in deploy.toml",
        )

    def ping(self) -> None:
        """Raise `errors.EngineUnreachable` if the engine does not answer."""
        try:
            outcome = self.run("version", "--format", "{{.Server.Version}}", timeout=20, check=False)
        except errors.CommandTimedOut as exc:
            raise self.unreachable("no answer within 20 s") from exc
        if outcome.code:
            raise self.unreachable(outcome.complaint or f"exit code {outcome.code}")


def connect(name: str, host: str) -> Engine:
    """Return the engine of the environment NAME: HOST, else DOCKER_HOST, else the current docker context's.

    Raises:
        errors.EngineUnreachable: the current context cannot be read.
    """
    if host:
        return Engine(name=name, host=host)
    if address := os.environ.get("DOCKER_HOST", ""):
        # The default context reads DOCKER_HOST, so that its value, a secret in a CI job, is in no argument list.
        return Engine(name=name, host=address, context="default")
    context, address = current()
    return Engine(name=name, host=address, context=context)


@functools.cache
def current() -> tuple[str, str]:
    """Return the name and the engine address of the current docker context; read once, then cached.

    Raises:
        errors.EngineUnreachable: there is no such context, or it has no engine.
    """
    outcome = process.run(["docker", "context", "inspect"], timeout=20, check=False)
    try:
        told = json.loads(outcome.stdout)[0]
        return str(told["Name"]), str(told["Endpoints"]["docker"]["Host"])
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise errors.EngineUnreachable(
            f"the current docker context names no engine: {outcome.complaint}",
            "docker context ls shows what there is",
        ) from exc


def _reason(exc: Exception) -> str:
    """Return EXC's first complaint about the engine's output, in one line."""
    if not isinstance(exc, pydantic.ValidationError):
        return str(exc)
    return errors.complaint(exc)


def refuse_other_loopback(repository: str) -> None:
    """Raise `errors.ConfigInvalid` if REPOSITORY is on our loopback but the caller's engine is on another host."""
    own = connect("image", "")
    if own.is_remote and registry.is_loopback(repository.partition("/")[0]):
        raise errors.ConfigInvalid(
            f"deploy.toml: image.repository: {repository} is on this host's loopback, and {own.host}, where the docker "
            "command builds and pushes, is another host",
            "set image.repository to a registry that both reach; or choose an engine here: docker context use default",
        )
