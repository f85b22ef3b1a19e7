"""The lock of a Compose environment: a container with a unique name, whose stdin belongs to the holder."""

import contextlib
import datetime
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from selfdeploy import errors, process
from selfdeploy.engine import Engine, containers
from selfdeploy.engine.containers import Container
from selfdeploy.process import surroundings
from selfdeploy.provenance import Holder

PATIENCE = 30.0
"""Seconds without a heartbeat after which a lock releases itself, such as after a broken connection."""

SURE = 10.0
"""Least number of seconds for which a checked lock stays held, even if the connection breaks."""

STARTING = 120.0
"""How long a lock may take to start, in seconds."""

LEAVING = {"created": 15.0, "exited": 2.0, "dead": 2.0}
"""How long a lock in one of these states may take to start or to disappear by itself, in seconds."""

LABEL = "dev.selfdeploy"

HOLD = """
const [patience] = process.argv.slice(1).map(Number);
let t; const beat = () => { clearTimeout(t); t = setTimeout(() => process.exit(0), patience * 1000); };
beat(); process.stdin.on("data", (told) => { beat(); process.stdout.write(told); });
process.stdin.on("end", () => process.exit(0)); process.stdout.write("held\\n");
"""
"""Holds the lock for PATIENCE seconds after each line on stdin, and echoes the line."""


def clock() -> float:
    """Return monotonic seconds, counting suspend where the kernel can (CLOCK_BOOTTIME)."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError:
        return time.monotonic()


@dataclass(kw_only=True)
class Heart:
    """The heartbeat of a lock; `heard` is the sending time of the last beat that the lock has echoed."""

    child: process.Child
    heard: float = field(default_factory=clock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start to send beats and to read their echoes."""
        self._threads += [threading.Thread(target=work, daemon=True) for work in (self._beat, self._listen)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Release the lock, and wait until its docker command has ended."""
        self._stop.set()
        if self.child.stdin:
            with contextlib.suppress(OSError):
                self.child.stdin.close()
        process.end(self.child, patience=10)
        for thread in self._threads:
            thread.join()
        for pipe in (self.child.stdout, self.child.stderr):
            if pipe:
                pipe.close()

    def _beat(self) -> None:
        while self.child.stdin and not self._stop.wait(PATIENCE / 6):
            try:
                self.child.stdin.write(b"%.3f\n" % clock())
                self.child.stdin.flush()
            except (OSError, ValueError):
                return

    def _listen(self) -> None:
        for line in self.child.stdout or ():
            with contextlib.suppress(ValueError):
                self.heard = max(self.heard, min(float(line), clock()))


@dataclass(frozen=True, kw_only=True)
class ContainerLock:
    """An environment's lock, held by this process until it releases the lock or dies."""

    container: str
    heart: Heart
    replaced: str = ""

    def check(self) -> None:
        """Raise `errors.LockLost` unless the lock is held, and stays held for another `SURE` seconds."""
        silent = clock() - self.heart.heard
        if self.heart.child.poll() is not None:
            raise errors.LockLost(f"{self.container}: the lock went away", "run the command again")
        if silent > PATIENCE - SURE:
            raise errors.LockLost(
                f"{self.container}: the lock has not answered for {silent:.0f} s: somebody else may hold it by now",
                "run the command again; inv status shows who holds it",
            )


def describe(container: Container) -> Holder:
    """Return the holder of the lock CONTAINER, with its start time and CI run."""
    told = {part: container.labels.get(f"{LABEL}.{part}", "") for part in ("who", "run", "since")}
    since = told["since"] or f"{container.created[:19]}Z"
    return Holder(who=told["who"] or "somebody", run=told["run"], since=since)


def find(engine: Engine, name: str) -> Container | None:
    """Return the container NAME; None if there is none.

    Raises:
        errors.CommandFailed: the engine cannot describe it.
    """
    told = engine.describe("container", name)
    return next(iter(containers.parse(told or b"", engine.name)), None)


def held_by(engine: Engine, name: str) -> Holder | None:
    """Return the holder of the lock NAME; None if the lock is free."""
    found = find(engine, name)
    return describe(found) if found and found.state.status == "running" else None


@contextlib.contextmanager
def hold(engine: Engine, name: str, image: str, record: str, holder: Holder) -> Iterator[ContainerLock]:
    """Hold the lock NAME for HOLDER, in a container with the volume RECORD at /record.

    IMAGE is any image with node; the engine has it, or pulls it by digest.

    Raises:
        errors.LockHeld: another process holds the lock.
        errors.EngineUnreachable: the engine could not start the container.
    """
    argv = ["run", "--interactive", "--rm", "--name", name, "--network", "none", "--read-only", "--init=false"]
    argv += ["--user", "0:0", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64"]
    argv += ["--label", f"{LABEL}.who={holder.who}", "--label", f"{LABEL}.run={holder.run}"]
    since, token = datetime.datetime.now(datetime.UTC), secrets.token_hex(8)
    argv += ["--label", f"{LABEL}.since={since:%Y-%m-%dT%H:%M:%SZ}", "--label", f"{LABEL}.token={token}"]
    argv += ["--volume", f"{record}:/record", *surroundings.inside()]
    heart, replaced = _take(engine, name, [*argv, "--entrypoint", "node", image, "-e", HOLD, f"{PATIENCE:g}"])
    heart.start()
    try:
        found = find(engine, name)
        # The name alone may belong to the next holder's container, if ours is gone already.
        if found is None or found.labels.get(f"{LABEL}.token") != token:
            raise errors.LockLost(f"{engine.name}: {name}: the lock went away", "run the command again")
        yield ContainerLock(container=found.id, heart=heart, replaced=replaced)
    finally:
        heart.stop()


def _take(engine: Engine, name: str, argv: list[str]) -> tuple[Heart, str]:
    """Acquire the lock NAME; return its heartbeat and the dead previous holder, or empty if there was none."""
    ends = time.monotonic() + 45
    stale, replaced = dict[str, float](), ""
    while True:
        heart = Heart(child=process.start(engine.argv(*argv), timeout=86_400, stdin=process.PIPE))
        said = _await(heart.child)
        if said is None:
            return heart, replaced
        if not any(text in said for text in ("is already in use", "is being removed", "No such container")):
            raise errors.EngineUnreachable(f"{engine.name}: no lock could be made: {said[-500:]}", "inv status")
        other = find(engine, name)
        status = other.state.status if other else "gone"
        if other and status == "running":
            raise errors.LockHeld(
                f"{engine.name}: held by {describe(other)}",
                "wait until it is done, or queue behind it: --wait; the lock frees itself when its holder ends",
            )
        # A container that does not run holds nothing; it gets a moment to start or to disappear.
        first = stale.setdefault(other.id if other else "", time.monotonic())
        if other and status in LEAVING and time.monotonic() > first + LEAVING[status]:
            engine.run("rm", "--volumes", other.id, check=False)
            replaced = str(describe(other))
        if time.monotonic() > ends:
            raise errors.LockHeld(f"{engine.name}: {name} is {status}, and stays", f"docker rm --force {name}")
        time.sleep(0.1)


def _await(child: process.Child) -> str | None:
    """Return None once CHILD holds the lock, or else the error output of CHILD."""
    late = threading.Timer(STARTING, process.end, [child])
    late.daemon = True
    late.start()
    try:
        if child.stdout and child.stdout.readline() == b"held\n":
            return None
        return child.communicate()[1].decode(errors="replace").strip()
    finally:
        late.cancel()
