"""The lock of a Compose environment: a container whose name is the lock and whose stdin its holder has."""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from selfdeploy import errors, process
from selfdeploy.environments.engine import Engine
from selfdeploy.provenance import Holder

PATIENCE = 30
"""Seconds without a heartbeat after which a lock frees itself: what a dead connection leaves is not held for ever."""

LABEL = "dev.selfdeploy"

HOLD = f"""
let t; const beat = () => {{ clearTimeout(t); t = setTimeout(() => process.exit(0), {PATIENCE * 1000}); }};
beat(); process.stdin.on("data", beat).on("end", () => process.exit(0)); process.stdout.write("held\\n");
"""


@dataclass(frozen=True, kw_only=True)
class ContainerLock:
    """The environment, held by this process until it lets go or dies."""

    container: str
    holder: process.Child

    def check(self) -> None:
        """Raise `errors.LockLost` when it is no longer held."""
        if self.holder.poll() is not None:
            raise errors.LockLost(f"{self.container}: the lock went away", "run the command again")


def describe(container: dict[str, Any]) -> str:
    """Return who holds the lock that CONTAINER, as the engine inspects it, is; since when; in which run."""
    labels = container.get("Config", {}).get("Labels") or {}
    since = str(container.get("Created", "?"))[:19]
    run = labels.get(f"{LABEL}.run", "")
    return f"{labels.get(f'{LABEL}.who', 'somebody')} since {since}Z{f' ({run})' if run else ''}"


def held_by(engine: Engine, name: str) -> str:
    """Return who holds the lock NAME; empty when nobody does."""
    found = engine.inspect("container", name)
    return describe(found) if found and found.get("State", {}).get("Status") == "running" else ""


@contextlib.contextmanager
def hold(engine: Engine, name: str, image: str, record: str, holder: Holder) -> Iterator[ContainerLock]:
    """Hold the lock NAME for HOLDER; the volume RECORD is within its reach at /record.

    IMAGE is any that the engine has, or gets by its digest, and that has node.

    Raises:
        errors.LockHeld: somebody else holds it.
        errors.EngineUnreachable: the engine could not start it.
    """
    argv = ["run", "--interactive", "--rm", "--name", name, "--network", "none", "--read-only", "--init=false"]
    argv += ["--user", "0:0", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64"]
    argv += ["--label", f"{LABEL}.who={holder.who}", "--label", f"{LABEL}.run={holder.run}"]
    argv += ["--label", f"{LABEL}.token={secrets.token_hex(8)}", "--volume", f"{record}:/record"]
    child = _take(engine, name, [*argv, "--entrypoint", "node", image, "-e", HOLD])
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(child, stop), daemon=True)
    beat.start()
    try:
        found = engine.inspect("container", name) or {}
        yield ContainerLock(container=str(found.get("Id", name)), holder=child)
    finally:
        stop.set()
        beat.join()
        if child.stdin:
            with contextlib.suppress(OSError):
                child.stdin.close()
        process.end(child, patience=10)


def _take(engine: Engine, name: str, argv: list[str]) -> process.Child:
    ends = time.monotonic() + 15
    stale = dict[str, float]()
    while True:
        child = process.start(engine.argv(*argv), timeout=86_400, stdin=process.PIPE)
        if child.stdout and child.stdout.readline() == b"held\n":
            return child
        said = child.communicate()[1].decode(errors="replace").strip()
        if "is already in use" not in said and "is being removed" not in said:
            raise errors.EngineUnreachable(f"{engine.name}: no lock could be made: {said[-500:]}", "inv status")
        other = engine.inspect("container", name) or {}
        status = other.get("State", {}).get("Status")
        if status == "running":
            raise errors.LockHeld(
                f"{engine.name}: held by {describe(other)}",
                "wait until it is done; the lock frees itself when its holder ends",
            )
        # What never ran, or has ended and was not removed, holds nothing; it is given a moment to come up or go away.
        first = stale.setdefault(str(other.get("Id")), time.monotonic())
        if status in ("created", "exited", "dead") and time.monotonic() > first + 5:
            engine.run("rm", str(other["Id"]), check=False)
        if time.monotonic() > ends:
            raise errors.LockHeld(f"{engine.name}: {name} is {status}, and stays", f"docker rm --force {name}")
        time.sleep(0.1)


def _beat(child: process.Child, stop: threading.Event) -> None:
    while not stop.wait(PATIENCE / 6) and child.stdin:
        try:
            child.stdin.write(b"\n")
            child.stdin.flush()
        except OSError:
            return
