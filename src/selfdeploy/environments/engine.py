"""The Docker engine of an environment, through the docker command: this machine's or another's."""

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

from selfdeploy import errors, net, process, registry, surroundings

if TYPE_CHECKING:
    import python_on_whales

SILENT = ("Cannot connect to the Docker daemon", "error during connect", "failed to connect", "context deadline")
"""What the docker command says when the engine does not answer."""

LOCAL = ("fd", "npipe", "unix")
"""The schemes of addresses that only this machine has."""

ANSWERS = "Error response from daemon"
"""What it says when the engine does."""


class _Told(pydantic.BaseModel):
    """What is read of an image or a volume; the rest may be anything."""

    model_config = pydantic.ConfigDict(strict=True, alias_generator=to_pascal)

    id: str = ""
    labels: dict[str, str] | None = None
    repo_tags: list[str] | None = None
    repo_digests: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine; NAME is the environment it serves, HOST its address, CONTEXT the docker context that has that.

    A context is named rather than its address, for it may have certificates too.
    """

    name: str
    host: str = ""
    context: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether the engine is on another host, which has none of our files and another loopback."""
        host = self.host if "://" in self.host else f"tcp://{self.host}"  # as docker reads it
        try:
            address = urlsplit(host)
            name = address.hostname or ""
        except ValueError:  # docker says what is wrong with it
            return False
        # Without a name it is docker's default, which is this machine.
        return bool(name) and address.scheme not in LOCAL and not net.is_here(name)

    def argv(self, *argv: str) -> list[str]:
        """Return the docker command line ARGV with the engine named in it."""
        host = ["--host", self.host] if self.host else []
        return ["docker", *(["--context", self.context] if self.context else host), *argv]

    @property
    def builder(self) -> str:
        """The name by which buildx knows the engine's own builder: it alone has the engine's images.

        Another may be the current one, by `docker buildx use`.
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
        """Run the docker command line ARGV to its end.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: it failed, and CHECK is set.
        """
        outcome = process.run(self.argv(*argv), timeout=timeout, stdin=stdin, env=env, check=False)
        told = outcome.complaint
        # What an engine passes on of others, a registry that is slow for one, is no silence of its own.
        if outcome.code and ANSWERS not in told and any(text in told for text in SILENT):
            raise self.unreachable(told)
        if outcome.code and check:
            raise errors.CommandFailed(
                f"{self.name}: docker {' '.join(argv[:2])}: exit code {outcome.code}", outcome.complaint
            )
        return outcome

    def follow(self, *argv: str) -> None:
        """Run the docker command line ARGV with its outputs as ours, until it ends or is interrupted."""
        child = process.start(self.argv(*argv), timeout=7 * 86_400, stdout=sys.stdout.buffer, stderr=sys.stdout.buffer)
        try:
            child.wait()
        finally:
            process.end(child)

    def describe(self, kind: str, name: str) -> bytes | None:
        """Return what the engine prints of the KIND (`container`, `image`, `volume`) NAME; None where it has none.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: it does not say.
        """
        outcome = self.run(kind, "inspect", name, timeout=30, check=False)
        if outcome.code and f"no such {kind}" in outcome.complaint.lower():
            return None
        if outcome.code:
            raise errors.CommandFailed(
                f"{self.name}: docker {kind} inspect {name}: exit code {outcome.code}", outcome.complaint
            )
        return outcome.stdout

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what the engine says of the KIND (`container`, `image`, `volume`) NAME; None where it has none.

        Raises:
            errors.EngineUnreachable: the engine does not answer.
            errors.CommandFailed: it does not say.
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
        """Return a python-on-whales client whose every call ends within SECONDS, in the surroundings of LIKE."""
        import python_on_whales  # noqa: PLC0415 -- start-up is a feature

        where = {"context": self.context} if self.context else {"host": self.host or None}
        call = [*process.guard(seconds), *surroundings.prefix(like), "docker"]
        return python_on_whales.DockerClient(client_call=call, **where, **settings)

    def unreachable(self, why: str) -> errors.EngineUnreachable:
        """Return the error that says that the engine does not answer, and WHY."""
        return errors.EngineUnreachable(
            f"{self.name}: the Docker engine {self.host or 'of this machine'} does not answer: {why}",
            f"start it (./bootstrap does), or name another: environments.{self.name}.engine in deploy.toml",
        )

    def ping(self) -> None:
        """Raise `errors.EngineUnreachable` when the engine does not answer."""
        try:
            outcome = self.run("version", "--format", "{{.Server.Version}}", timeout=20, check=False)
        except errors.CommandTimedOut as exc:
            raise self.unreachable("no answer within 20 s") from exc
        if outcome.code:
            raise self.unreachable(outcome.complaint or f"exit code {outcome.code}")


def connect(name: str, host: str) -> Engine:
    """Return the engine of the environment NAME: HOST, or else DOCKER_HOST, or else the current docker context's.

    Raises:
        errors.EngineUnreachable: the current context cannot be read.
    """
    if host:
        return Engine(name=name, host=host)
    if address := os.environ.get("DOCKER_HOST", ""):
        # The default context is what that variable names; so the address, a secret of a CI job, is in no argument list.
        return Engine(name=name, host=address, context="default")
    context, address = current()
    return Engine(name=name, host=address, context=context)


@functools.cache
def current() -> tuple[str, str]:
    """Return the name of the current docker context, and the address of its engine; asked once, and kept to.

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
    """Return, in a line, the first that EXC has against what was read."""
    if not isinstance(exc, pydantic.ValidationError):
        return str(exc)
    first = exc.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def refuse_other_loopback(repository: str) -> None:
    """Raise `errors.ConfigInvalid` when REPOSITORY is on our loopback, and the caller's own engine on another host."""
    own = connect("image", "")
    if own.is_remote and registry.is_loopback(repository.partition("/")[0]):
        raise errors.ConfigInvalid(
            f"deploy.toml: image.repository: {repository} is on this host's loopback, and {own.host}, where the docker "
            "command builds and pushes, is another host",
            "set image.repository to a registry that both reach; or choose an engine here: docker context use default",
        )
