"""A rollout without a gap on a Docker engine: the new replica is proven beside the old one, then the front switches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfdeploy import errors, process
from selfdeploy.engine import Engine
from selfdeploy.engine.containers import Container
from selfdeploy.environments.compose.front import NOBODY, Front, refuse_failed

SERVER = "server"
"""Name of the replicas' Compose service."""


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """The replicas of one environment behind FRONT.

    COMPOSE runs Compose on the rendered file. FIND lists the replicas, running or not. WANTED is Compose's hash of a
    replica in the rendered file. PROVE probes one replica from inside until it has settled. CHECK raises if the
    environment's lock is lost. Times in seconds.
    """

    engine: Engine
    front: Front
    compose: Callable[..., process.Outcome]
    find: Callable[[], tuple[Container, ...]]
    wanted: str
    prove: Callable[[Container], None]
    check: Callable[[], None]
    grace: float

    def bring(self, *, anew: bool) -> str:
        """Make a replica of the rendered file live, proven before it gets requests, and return its name.

        With ANEW, the replica is a new one in any case. The previous replica runs on until `retire`, ready to take over
        again.

        Raises:
            errors.NotProven, errors.ReplicaFailed: the new replica is not proven; it got no request.
            errors.PortTaken, errors.CommandFailed: the front could not be placed or switched.
        """
        live = self.front.live()
        if live and all(container.title != live for container in self.find()):
            self.front.switch(NOBODY)  # the new replica may get the name of the missing one
            live = ""
        candidate = None if anew else self._matching(live)
        self._clear({live, candidate.title if candidate else ""}, live)
        if candidate is None:
            candidate = self._start()
        if candidate.title != live or not self.front.is_placed:
            self.prove(candidate)
            self.check()
            self._free_port()
            self.front.place()
            self.front.switch(candidate.title)
        return candidate.title

    def retire(self) -> None:
        """Terminate every replica but the live one; it stays live after a restart of the front, too.

        A replica gets the whole grace for its requests in progress.
        """
        live = self.front.live()
        if not live:
            raise errors.CommandFailed(f"{self.engine.name}: no replica is live", "run the command again")
        self.front.keep()
        self._end([container for container in self.find() if container.title != live])

    def _matching(self, live: str) -> Container | None:
        """Return a running replica of the rendered file, preferably the live one; None if there is none."""
        matching = [each for each in self.find() if each.state.running and each.hash == self.wanted]
        return next(iter(sorted(matching, key=lambda each: each.title != live)), None)

    def _clear(self, needed: set[str], live: str) -> None:
        """Terminate the replicas that are not NEEDED, left by an interrupted or a refused rollout.

        A replica newer than the LIVE one never got a request, so it is removed at once. Without LIVE, all replicas
        stay.
        """
        containers = self.find()
        since = next((each.created for each in containers if each.title == live), "")
        spare = [] if not live else [each for each in containers if each.title not in needed]
        self._remove([each for each in spare if each.created > since])
        self._end([each for each in spare if each.created <= since])

    def _start(self) -> Container:
        """Start a new replica beside the others, and return it."""
        before = {each.id for each in self.find()}
        argv = ["create", "--no-recreate", "--no-build", "--pull", "never", "--scale", f"{SERVER}={len(before) + 1}"]
        refuse_failed(self.compose(*argv, SERVER, timeout=180), self.engine.name)
        created = [each for each in self.find() if each.id not in before]
        if len(created) != 1:
            listed = ", ".join(each.title for each in created) or "none"
            raise errors.CommandFailed(f"{self.engine.name}: docker compose create: expected one replica: {listed}", "")
        refuse_failed(self.engine.run("container", "start", created[0].id, timeout=60, check=False), self.engine.name)
        return created[0]

    def _free_port(self) -> None:
        """Stop the replicas that publish the public port themselves, left from before the front existed."""
        self._stop([each for each in self.find() if each.published])

    def _end(self, containers: Sequence[Container]) -> None:
        self._stop(containers)
        self._remove(containers)

    def _stop(self, containers: Sequence[Container]) -> None:
        if containers:
            argv = ["container", "stop", "--time", f"{self.grace:.0f}", *(each.id for each in containers)]
            self.engine.run(*argv, timeout=self.grace + 60, check=False)

    def _remove(self, containers: Sequence[Container]) -> None:
        if containers:
            argv = ["container", "rm", "--force", "--volumes", *(each.id for each in containers)]
            self.engine.run(*argv, timeout=60, check=False)
