"""The front of a rolling environment: HAProxy with the public port, and the replica that gets its new requests."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from selfdeploy import errors, process
from selfdeploy.environments.containers import Container
from selfdeploy.environments.engine import Engine

SERVICE = "front"
"""The service of Compose's that the front is."""

KEY = "x-selfdeploy"
"""Where a rendered Compose file says what its front is."""

PROGRAM = "/usr/local/bin/front"
"""Its own commands (docker/front.sh)."""

STARTS = 15.0
"""Seconds that a front which has just been started has for its first answer."""

LOGS = "inv logs --front shows why"

NOBODY = "none.invalid"
"""The live replica of a front that has not been switched to one yet."""


class Front(Protocol):
    """One way in, and the replica that its new requests go to."""

    @property
    def title(self) -> str:
        """What `inv status` calls it."""

    @property
    def is_placed(self) -> bool:
        """Whether it is there as its environment's rendered file has it."""

    def live(self) -> str:
        """Return the name of the replica that gets new requests; empty if there is none."""

    def place(self) -> None:
        """Have it be there as its environment's rendered file has it."""

    def switch(self, replica: str) -> None:
        """Send new requests to REPLICA from now on; requests under way stay where they are."""

    def keep(self) -> None:
        """Send requests to the live replica after a restart, too."""

    def remove(self) -> None:
        """Give the public way up."""


def read(rendered: str) -> Mapping[str, Any] | None:
    """Return what the Compose file RENDERED says of its front; None if it does not roll.

    Raises:
        errors.ConfigInvalid: the file says something else there.
    """
    try:
        value = yaml.safe_load(rendered).get(KEY)
        settings = None if value is None else json.loads(str(value).replace("$$", "$"))
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError) as exc:
        raise _foreign() from exc
    if settings is not None and not (isinstance(settings, dict) and settings.get("front") in ("haproxy", "traefik")):
        raise _foreign()
    return settings


def _foreign() -> errors.ConfigInvalid:
    return errors.ConfigInvalid(
        f"templates/compose.yml.j2: {KEY}: not the settings of a front",
        "compare the template with the one that comes with selfdeploy",
    )


@dataclass(frozen=True, kw_only=True)
class HAProxy:
    """The front that is a service of the environment's own Compose file.

    COMPOSE runs Compose on the rendered file; FIND returns the containers of a service; HASHES returns, by service,
    what Compose labels a container of the rendered file with.
    """

    engine: Engine
    compose: Callable[..., process.Outcome]
    find: Callable[[str], tuple[Container, ...]]
    hashes: Callable[[], Mapping[str, str]]

    @property
    def title(self) -> str:
        """Return the container's name and state."""
        return ", ".join(f"{container.title} is {container.state.status}" for container in self.find(SERVICE)) or "none"

    @property
    def is_placed(self) -> bool:
        """Whether one front runs, and is what Compose would make of the rendered file."""
        running = [container for container in self.find(SERVICE) if container.state.running]
        return len(running) == 1 and running[0].hash == self.hashes().get(SERVICE)

    def live(self) -> str:
        """Return the replica that gets new requests, as the front itself says; empty if no front runs."""
        for container in self.find(SERVICE):
            if container.state.running:
                live = self._command(container, "live")
                return "" if live == NOBODY else live
        return ""

    def place(self) -> None:
        """Create the front, or replace it if its settings changed."""
        argv = ["up", "--detach", "--no-build", "--pull", "never", "--no-deps", SERVICE]
        refuse_failed(self.compose(*argv, timeout=60), self.engine.name)

    def switch(self, replica: str) -> None:
        """Send new requests to REPLICA from now on, in one step; the front's own answer confirms it."""
        live = self._command(self._running(), "switch", replica)
        if live != replica:
            raise errors.CommandFailed(f"{self.engine.name}: front: switched to {replica}, but {live!r} is live", "")

    def keep(self) -> None:
        """Write the live replica to the front's volume."""
        self._command(self._running(), "keep")

    def remove(self) -> None:
        """Stop the front and remove it; requests under way get five seconds to end."""
        if containers := [container.id for container in self.find(SERVICE)]:
            self.engine.run("container", "stop", "--time", "5", *containers, timeout=60, check=False)
            self.engine.run("container", "rm", "--force", *containers, timeout=60, check=False)

    def _running(self) -> Container:
        for container in self.find(SERVICE):
            if container.state.running:
                return container
        raise errors.CommandFailed(f"{self.engine.name}: the front does not run", LOGS)

    def _command(self, container: Container, *argv: str) -> str:
        """Return what the front answers to its own command ARGV; one that has just been started answers in a moment."""
        ends = time.monotonic() + STARTS
        while True:
            outcome = self.engine.run("exec", container.id, PROGRAM, *argv, timeout=30, check=False)
            if not outcome.code and outcome.text:
                return outcome.text
            if time.monotonic() > ends:
                why = outcome.complaint or "no answer"
                raise errors.CommandFailed(f"{self.engine.name}: front: {argv[0]}: {why}", LOGS)
            time.sleep(0.1)


def refuse_failed(outcome: process.Outcome, name: str) -> None:
    """Raise why `docker compose up`, which ended with OUTCOME in the environment NAME, failed; return if it did not."""
    complaint = outcome.complaint
    if not outcome.code:
        return
    if "port is already allocated" in complaint or "address already in use" in complaint:
        taken = next((line for line in complaint.splitlines() if "already" in line), complaint)
        raise errors.PortTaken(f"{name}: its port is taken: {taken[-200:]}", "free it or name another")
    if lines := [line for line in complaint.splitlines() if "OCI runtime" in line]:  # the image lacks its command
        raise errors.ReplicaFailed(f"{name}: {lines[-1]}", "fix the image")
    raise errors.CommandFailed(f"{name}: docker compose up: exit code {outcome.code}", complaint)
