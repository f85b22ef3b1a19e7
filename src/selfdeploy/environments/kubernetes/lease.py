"""The lock of a Kubernetes environment: a Lease, renewed while it is held, and free once it stops changing."""

import contextlib
import datetime
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from selfdeploy import errors
from selfdeploy.environments import Lock
from selfdeploy.environments.kubernetes import refusal, shape
from selfdeploy.environments.kubernetes.api import CONFLICT, NOT_FOUND, Api, Object
from selfdeploy.provenance import Holder

VERSION = "coordination.k8s.io/v1"
LABEL = "dev.selfdeploy"

DURATION = 15
"""Seconds without a change after which an observer, by its own clock, takes a Lease over."""

OUTAGE = 4 * DURATION
"""Seconds after which whoever looks at a Lease gives up on an API server that does not answer."""

RENEWAL = 2.0
"""Seconds between two renewals; with the next one, whoever waits knows that the holder lives."""


class LeaseLock:
    """A Lease that this process holds until it lets go, dies, or finds that another has it."""

    def __init__(self, api: Api, held: Object, replaced: str) -> None:
        """Hold what HELD, the Lease as the API server has it, says; REPLACED had it before and did not let go."""
        self._api, self._held, self.replaced = api, held, replaced
        self._identity = _identity(held)
        self._mutex = threading.Lock()
        self._lost = ""

    @property
    def container(self) -> str:
        """What the cluster calls this holding: never another's."""
        return self._identity

    @property
    def path(self) -> str:
        """Where the Lease is."""
        return self._api.path(VERSION, "leases", self._held["metadata"]["name"])

    def refuse_lost(self) -> None:
        """Raise `errors.LockLost` when it is known to be lost; asks nobody."""
        if self._lost:
            raise errors.LockLost(f"{self._api.name}: {self._lost}", "run the command again")

    def check(self) -> None:
        """Raise `errors.LockLost` when it is no longer held; the cluster itself is asked, by a renewal.

        A server that does not answer gives the Lease to nobody else, and is asked again for a while.
        """
        self._api.insist(self._renew, DURATION)
        self.refuse_lost()

    def _renew(self) -> None:
        self.refuse_lost()
        with self._mutex:
            self._write({"renewTime": _now()})

    def _write(self, changes: Mapping[str, Any]) -> bool:
        """Have the Lease say CHANGES, unless it was written since we did; return whether it does."""
        wanted = {**self._held, "spec": {**self._held["spec"], **changes}}
        reply = self._api.call("PUT", self.path, wanted, timeout=10, accept=(NOT_FOUND, CONFLICT))
        if reply.code < NOT_FOUND:
            self._held = shape.check(self._api.name, "leases", reply.object)
            return True
        found = self._api.get(VERSION, "leases", self._held["metadata"]["name"])
        # A write of ours whose answer was lost, or a change that is none of a holder's: it is ours still.
        if found and _identity(found) == self.container:
            self._held = found
        else:
            self._lost = f"the lock is {describe(found)}'s now" if found and _identity(found) else "the lock went away"
        return False

    def renew(self, stop: threading.Event) -> None:
        """Renew it until STOP; an API server that does not answer is asked again, and nobody else gets it meanwhile."""
        while not stop.wait(RENEWAL) and not self._lost:
            with contextlib.suppress(errors.SelfdeployError):
                self._renew()

    def release(self) -> None:
        """Let go of it, so that the next one need not wait."""
        with self._mutex, contextlib.suppress(errors.SelfdeployError):
            free = {"holderIdentity": None, "renewTime": _now()}
            if not self._lost and not self._write(free) and not self._lost:
                self._write(free)  # what was written meanwhile was a renewal of ours


def of(lock: Lock) -> LeaseLock:
    """Return LOCK, one that `hold` gave."""
    if not isinstance(lock, LeaseLock):
        raise TypeError(f"{lock.container}: the lock of another kind of environment")  # a bug, not an input
    return lock


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _identity(lease: Object) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def describe(lease: Object) -> Holder:
    """Return who holds LEASE, since when, and in which run."""
    notes = lease["metadata"].get("annotations") or {}
    since = f"{str(lease['spec'].get('acquireTime', '?'))[:19]}Z"
    return Holder(who=notes.get(f"{LABEL}/who", _identity(lease)), run=notes.get(f"{LABEL}/run", ""), since=since)


def rehearse(api: Api, name: str) -> None:
    """Raise what would keep us from making the Lease NAME: no answer, no credential, no right, no namespace."""
    wanted = _lease(name, Holder(who="selfdeploy"), None)
    api.call("POST", api.path(VERSION, "leases"), wanted, query={"dryRun": "All"}, accept=(CONFLICT,))


def held_by(api: Api, name: str) -> Holder | None:
    """Return who holds the Lease NAME; None when nobody does, or its holder no longer renews it."""
    lease = api.get(VERSION, "leases", name)
    return describe(lease) if lease and _identity(lease) and _outlives(api, lease) else None


_seen: dict[str, float] = {}
"""When this process first saw a version of a Lease, by its own clock: what was waited for once is not again."""


def _outlives(api: Api, lease: Object) -> bool:
    """Say whether LEASE changes before it has expired; no clock but ours is asked, and that only how long it took.

    Raises:
        errors.ClusterUnreachable: nobody answers any more.
    """
    name, version = lease["metadata"]["name"], lease["metadata"]["resourceVersion"]
    began = time.monotonic()
    first = _seen.setdefault(f"{lease['metadata']['uid']} {version}", began)
    ends = max(first + DURATION, began + 2 * RENEWAL)
    while time.monotonic() < ends:
        time.sleep(RENEWAL / 4)
        try:
            now = api.get(VERSION, "leases", name)
        except errors.ClusterUnreachable:
            if time.monotonic() > began + OUTAGE:
                raise
            ends = time.monotonic() + DURATION  # nor could its holder renew it meanwhile
            continue
        if now is None or not _identity(now):
            return False
        if now["metadata"]["resourceVersion"] != version:
            return True
    return False


@contextlib.contextmanager
def hold(api: Api, name: str, holder: Holder) -> Iterator[LeaseLock]:
    """Hold the Lease NAME for HOLDER.

    Raises:
        errors.LockHeld: somebody else holds it, and renews it.
    """
    lock = LeaseLock(api, *_take(api, name, holder))
    stop = threading.Event()
    renewing = threading.Thread(target=lock.renew, args=(stop,), daemon=True)
    renewing.start()
    try:
        yield lock
    finally:
        stop.set()
        renewing.join()
        lock.release()


def _take(api: Api, name: str, holder: Holder) -> tuple[Object, str]:
    """Return the Lease NAME, taken, and who had left it behind; empty when nobody had."""
    replaced = ""
    while True:
        found = api.get(VERSION, "leases", name)
        if found and _identity(found):
            if _outlives(api, found):
                raise errors.LockHeld(
                    f"{api.name}: held by {describe(found)}",
                    "wait until it is done, or queue behind it: --wait; what is not renewed frees itself",
                )
            now = api.get(VERSION, "leases", name)
            if now and _identity(now) and now["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                continue
            if now and _identity(now):
                replaced = str(describe(now))
            found = now
        wanted = _lease(name, holder, found)
        if found:
            reply = api.call("PUT", api.path(VERSION, "leases", name), wanted, accept=(NOT_FOUND, CONFLICT))
        else:
            reply = api.call("POST", api.path(VERSION, "leases"), wanted, accept=(CONFLICT,))
        if reply.code < NOT_FOUND:
            taken = shape.check(api.name, "leases", reply.object)
            if not _identity(taken):
                raise refusal.foreign(api.name, "a Lease that nobody holds")
            return taken, replaced


def _lease(name: str, holder: Holder, found: Object | None) -> Object:
    """Return the Lease NAME as HOLDER holds it, after FOUND, whose version it carries."""
    before = found["metadata"] if found else {}
    notes = {f"{LABEL}/who": holder.who, f"{LABEL}/run": holder.run}
    now = _now()
    return {
        "apiVersion": VERSION,
        "kind": "Lease",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "selfdeploy"},
            "annotations": {key: value for key, value in notes.items() if value},
            **({"resourceVersion": before["resourceVersion"]} if before else {}),
        },
        "spec": {
            "holderIdentity": f"{holder.who}/{secrets.token_hex(8)}",
            "leaseDurationSeconds": DURATION,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int((found or {}).get("spec", {}).get("leaseTransitions") or 0) + bool(found),
        },
    }
