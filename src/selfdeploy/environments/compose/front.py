"""The front of a rolling environment: HAProxy on the public port, with one live replica for new requests."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from selfdeploy import errors, process
from selfdeploy.engine import Engine
from selfdeploy.engine.containers import Container

SERVICE = "front"
"""Name of the front's Compose service."""

KEY = "x-selfdeploy"
"""Key of the front's settings in a rendered Compose file."""

PROGRAM = "/usr/local/bin/front"
"""The front's own commands (docker/front.sh)."""

STARTS = 15.0
"""How long a new front may take to give its first answer, in seconds."""

LOGS = "inv logs --front shows why"

NOBODY = "none.invalid"
"""The live replica of a front that has not been switched to one yet."""


class Front(Protocol):
    """A public entry point with one live replica, the target of new requests."""

    @property
    def title(self) -> str:
        """Its description in `inv status`."""

    @property
    def is_placed(self) -> bool:
        """Whether it exists as the environment's rendered file defines it."""

    def live(self) -> str:
        """Return the name of the replica that gets new requests; empty if there is none."""

    def place(self) -> None:
        """Make sure that it exists as the environment's rendered file defines it."""

    def switch(self, replica: str) -> None:
        """Send new requests to REPLICA from now on; requests in progress stay with their replica."""

    def keep(self) -> None:
        """Keep the live replica after a restart of the front."""

    def remove(self) -> None:
        """Release the public address."""


def read(rendered: str) -> Mapping[str, Any] | None:
    """Return the front's settings in the Compose file RENDERED; None if the environment does not roll.

    Raises:
        errors.ConfigInvalid: the settings are malformed.
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
    """The front as a service of the environment's own Compose file.

    COMPOSE runs Compose on the rendered file. FIND returns the containers of a service. HASHES returns Compose's hash
    of each service in the rendered file, as in its container label.
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
        """Whether exactly one front runs, and its hash is the rendered file's."""
        running = [container for container in self.find(SERVICE) if container.state.running]
        return len(running) == 1 and running[0].hash == self.hashes().get(SERVICE)

    def live(self) -> str:
        """Return the replica that gets new requests, as the front reports it; empty if no front runs."""
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
        """Stop and remove the front; requests in progress get five seconds to finish."""
        if containers := [container.id for container in self.find(SERVICE)]:
            self.engine.run("container", "stop", "--time", "5", *containers, timeout=60, check=False)
            self.engine.run("container", "rm", "--force", *containers, timeout=60, check=False)

    def _running(self) -> Container:
        for container in self.find(SERVICE):
            if container.state.running:
                return container
        raise errors.CommandFailed(f"{self.engine.name}: the front does not run", LOGS)

    def _command(self, container: Container, *argv: str) -> str:
        """Return the front's answer to its own command ARGV; retry for `STARTS` seconds, because it may be starting."""
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
    """Raise the reason if `docker compose up`, with OUTCOME in the environment NAME, failed."""
    complaint = outcome.complaint
    if not outcome.code:
        return
    if "port is already allocated" in complaint or "address already in use" in complaint:
        taken = next((line for line in complaint.splitlines() if "already" in line), complaint)
        raise errors.PortTaken(f"{name}: its port is taken: {taken[-200:]}", "free it or name another")
    if lines := [line for line in complaint.splitlines() if "OCI runtime" in line]:  # the image lacks its command
        raise errors.ReplicaFailed(f"{name}: {lines[-1]}", "fix the image")
    raise errors.CommandFailed(f"{name}: docker compose up: exit code {outcome.code}", complaint)
