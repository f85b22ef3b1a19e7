"""The record of a Kubernetes environment: one ConfigMap, replaced only in the version last read."""

from selfdeploy import errors
from selfdeploy.cluster import shape
from selfdeploy.cluster.api import CONFLICT, NOT_FOUND, Api, Object, Reply
from selfdeploy.environments import record

KEY = "record.json"

ROOM = 900_000
"""Largest record without its seal, in bytes: a ConfigMap holds 1 MiB."""


class Ledger:
    """The ConfigMap NAME, and its version when last read or written."""

    def __init__(self, api: Api, name: str) -> None:
        """Read and write the ConfigMap NAME through API."""
        self._api, self._name = api, name
        self._version = self._sent = ""

    def peek(self) -> record.Record:
        """Return the record for reading only; it is empty if there is none."""
        return self._parse(self._get())

    def read(self) -> record.Record:
        """Return the record for an update: the next `write` replaces this version of it and no other."""
        found = self._get()
        self._version = str(found["metadata"]["resourceVersion"]) if found else ""
        return self._parse(found)

    def _get(self) -> Object | None:
        return self._api.get("v1", "configmaps", self._name)

    def _parse(self, found: Object | None) -> record.Record:
        if found is None:
            return record.Record()
        data = str((found.get("data") or {}).get(KEY, ""))
        return record.parse(data.encode(errors="replace"), f"{self._api.name}: record: configmap/{self._name}")

    def write(self, value: record.Record) -> None:
        """Replace the record with VALUE, which fits a ConfigMap.

        Raises:
            errors.LockLost: another process has written the record since it was read.
        """
        data = value.model_dump_json()
        before, self._sent = self._sent, data
        reply = self._put(data)
        if reply.code == CONFLICT and before and self._adopt(before):
            reply = self._put(data)
        if reply.code >= NOT_FOUND:
            raise errors.LockLost(
                f"{self._api.name}: configmap/{self._name} was written by somebody else meanwhile",
                "inv status shows what runs; then run the command again",
            )
        written = shape.check(self._api.name, "configmaps", reply.object)
        self._version = str(written["metadata"]["resourceVersion"])

    def _put(self, data: str) -> Reply:
        path = self._api.path("v1", "configmaps", self._name if self._version else "")
        method, query = "PUT" if self._version else "POST", {"fieldManager": "selfdeploy"}
        return self._api.call(method, path, self._object(data), query=query, accept=(NOT_FOUND, CONFLICT))

    def _adopt(self, sent: str) -> bool:
        """Adopt the live version if it holds SENT, an earlier write with its answer lost; return whether it does."""
        found = self._get()
        if not found or (found.get("data") or {}).get(KEY) != sent:
            return False
        self._version = str(found["metadata"]["resourceVersion"])
        return True

    def _object(self, data: str) -> Object:
        metadata = {"name": self._name, "labels": {"app.kubernetes.io/managed-by": "selfdeploy"}}
        version = {"resourceVersion": self._version} if self._version else {}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, **version}, "data": {KEY: data}}


def bounded(value: record.Record, name: str) -> record.Record:
    """Drop VALUE's oldest attempts, then releases, until it fits a ConfigMap; NAME is the environment's name.

    Raises:
        errors.RecordInvalid: one release alone is too large.
    """
    while len(value.model_dump_json().encode()) > ROOM:
        if len(value.attempts) > 1:
            value = value.model_copy(update={"attempts": value.attempts[: len(value.attempts) // 2]})
        elif len(value.proven) > 1:
            value = value.model_copy(update={"proven": value.proven[:-1]})
        else:
            raise errors.RecordInvalid(
                f"{name}: record: one release alone is over {ROOM} bytes", "make the rendered files smaller"
            )
    return value
