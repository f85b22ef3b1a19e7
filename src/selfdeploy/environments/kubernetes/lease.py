"""The lock of a Kubernetes environment: a Lease, renewed while it is held, and free once renewals stop."""

import contextlib
import datetime
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from selfdeploy import errors
from selfdeploy.cluster import refusal, shape
from selfdeploy.cluster.api import CONFLICT, NOT_FOUND, Api, Object
from selfdeploy.environments import Lock
from selfdeploy.provenance import Holder

VERSION = "coordination.k8s.io/v1"
LABEL = "dev.selfdeploy"

DURATION = 15
"""Seconds without a change after which an observer, by its own clock, may take over a Lease."""

OUTAGE = 4 * DURATION
"""Seconds after which an observer of a Lease gives up on an API server without an answer."""

RENEWAL = 2.0
"""Seconds between two renewals; each renewal shows waiting processes that the holder is alive."""


class LeaseLock:
    """A Lease held by this process until it releases the Lease, dies, or finds another holder."""

    def __init__(self, api: Api, held: Object, replaced: str) -> None:
        """Hold HELD, the Lease as the API server returned it.

        REPLACED is the previous holder, if it died without releasing the lock; else empty.
        """
        self._api, self._held, self.replaced = api, held, replaced
        self._identity = _identity(held)
        self._mutex = threading.Lock()
        self._lost = ""

    @property
    def container(self) -> str:
        """The Lease's holder identity, unique to this acquisition."""
        return self._identity

    @property
    def path(self) -> str:
        """URL path of the Lease."""
        return self._api.path(VERSION, "leases", self._held["metadata"]["name"])

    def refuse_lost(self) -> None:
        """Raise `errors.LockLost` if the lock is known to be lost; sends no request."""
        if self._lost:
            raise errors.LockLost(f"{self._api.name}: {self._lost}", "run the command again")

    def check(self) -> None:
        """Renew the Lease, and raise `errors.LockLost` if it is no longer ours.

        If the API server does not answer, retry for `DURATION` seconds: it cannot give the Lease to another process
        meanwhile.
        """
        self._api.insist(self._renew, DURATION)
        self.refuse_lost()

    def _renew(self) -> None:
        self.refuse_lost()
        with self._mutex:
            self._write({"renewTime": _now()})

    def _write(self, changes: Mapping[str, Any]) -> bool:
        """Write CHANGES to the Lease's spec, unless another write came first; return whether it succeeded."""
        wanted = {**self._held, "spec": {**self._held["spec"], **changes}}
        reply = self._api.call("PUT", self.path, wanted, timeout=10, accept=(NOT_FOUND, CONFLICT))
        if reply.code < NOT_FOUND:
            self._held = shape.check(self._api.name, "leases", reply.object)
            return True
        found = self._api.get(VERSION, "leases", self._held["metadata"]["name"])
        # It is still ours: the other write was our own, with its answer lost, or did not change the holder.
        if found and _identity(found) == self.container:
            self._held = found
        else:
            self._lost = f"the lock is {describe(found)}'s now" if found and _identity(found) else "the lock went away"
        return False

    def renew(self, stop: threading.Event) -> None:
        """Renew the Lease until STOP is set, or the lock is lost.

        If the API server does not answer, try again: it cannot give the Lease to another process meanwhile.
        """
        while not stop.wait(RENEWAL) and not self._lost:
            with contextlib.suppress(errors.SelfdeployError):
                self._renew()

    def release(self) -> None:
        """Release the Lease, so that the next process need not wait for it to expire."""
        with self._mutex, contextlib.suppress(errors.SelfdeployError):
            free = {"holderIdentity": None, "renewTime": _now()}
            if not self._lost and not self._write(free) and not self._lost:
                self._write(free)  # the conflicting write was our own renewal


def of(lock: Lock) -> LeaseLock:
    """Return LOCK as the `LeaseLock` that `hold` created."""
    if not isinstance(lock, LeaseLock):
        raise TypeError(f"{lock.container}: the lock of another kind of environment")  # a bug, not an input
    return lock


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _identity(lease: Object) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def describe(lease: Object) -> Holder:
    """Return LEASE's holder, with start time and CI run."""
    notes = lease["metadata"].get("annotations") or {}
    since = f"{str(lease['spec'].get('acquireTime', '?'))[:19]}Z"
    return Holder(who=notes.get(f"{LABEL}/who", _identity(lease)), run=notes.get(f"{LABEL}/run", ""), since=since)


def rehearse(api: Api, name: str) -> None:
    """Raise if we could not create the Lease NAME: no answer, no credential, a missing right, no namespace."""
    wanted = _lease(name, Holder(who="selfdeploy"), None)
    api.call("POST", api.path(VERSION, "leases"), wanted, query={"dryRun": "All"}, accept=(CONFLICT,))


def held_by(api: Api, name: str) -> Holder | None:
    """Return the holder of the Lease NAME; None if it is free, or no longer renewed."""
    lease = api.get(VERSION, "leases", name)
    return describe(lease) if lease and _identity(lease) and _outlives(api, lease) else None


_seen: dict[str, float] = {}
"""When this process first saw each version of a Lease, by its own clock: it waits for each only once."""


def _outlives(api: Api, lease: Object) -> bool:
    """Return whether LEASE changes before it expires; only our own clock counts, and only as elapsed time.

    Raises:
        errors.ClusterUnreachable: the API server stays away for `OUTAGE` seconds.
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
            ends = time.monotonic() + DURATION  # its holder could not renew it meanwhile either
            continue
        if now is None or not _identity(now):
            return False
        if now["metadata"]["resourceVersion"] != version:
            return True
    return False


@contextlib.contextmanager
def hold(api: Api, name: str, holder: Holder) -> Iterator[LeaseLock]:
    """Hold the Lease NAME for HOLDER while the context is open.

    Raises:
        errors.LockHeld: another process holds and renews it.
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
    """Acquire the Lease NAME; return it and the previous holder, if that died without releasing it, or empty."""
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
    """Return the Lease NAME as held by HOLDER, with the version of FOUND, the existing Lease."""
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
