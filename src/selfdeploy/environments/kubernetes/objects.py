"""The objects of a release: applied by the server, after a dry run; compared with the live ones; and pruned."""

import copy
import difflib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import yaml

from selfdeploy import errors
from selfdeploy.cluster import refusal, shape
from selfdeploy.cluster.api import APPLY, CONFLICT, MERGE, NOT_FOUND, Api, Object, root
from selfdeploy.environments.kubernetes import claim

MANAGER = "selfdeploy"
RUN = "dev.selfdeploy/run"
RESTARTED = "dev.selfdeploy/restarted"
"""An annotation of the pod template: changing it replaces all pods. It has a field manager of its own, and stays."""

VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
"""Metadata that the server writes by itself."""

PRUNED = (
    ("v1", "configmaps"),
    ("v1", "services"),
    ("v1", "serviceaccounts"),
    ("networking.k8s.io/v1", "ingresses"),
    ("networking.k8s.io/v1", "networkpolicies"),
    ("policy/v1", "poddisruptionbudgets"),
    ("apps/v1", "deployments"),
)
"""Kinds to prune: a release deletes objects it no longer needs; data is never pruned."""


def parse(rendered: str) -> list[Object]:
    """Return the objects in RENDERED, YAML documents.

    Raises:
        errors.ConfigInvalid: it is not YAML, or a document is not a Kubernetes object.
    """
    try:
        found = [document for document in yaml.safe_load_all(rendered) if document]
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        raise _unfit(" ".join(str(exc).split()) or type(exc).__name__) from exc
    for thing in found:
        metadata = thing.get("metadata") if isinstance(thing, dict) else None
        named = [thing.get("apiVersion"), thing.get("kind"), metadata.get("name")] if isinstance(metadata, dict) else []
        if not named or not all(isinstance(name, str) and name for name in named):
            raise _unfit(f"no apiVersion, kind and metadata.name in {str(thing)[:80]!r}")
    return found


def _unfit(why: str) -> errors.ConfigInvalid:
    return errors.ConfigInvalid(
        f"templates/kubernetes: what is rendered is no Kubernetes object: {why}",
        "compare them with those that come with selfdeploy",
    )


def one(objects: Sequence[Object], kind: str) -> Object:
    """Return the only object of KIND in OBJECTS.

    Raises:
        errors.ConfigInvalid: there is none, or more than one.
    """
    found = [thing for thing in objects if thing.get("kind") == kind]
    if len(found) != 1:
        raise errors.ConfigInvalid(
            f"templates/kubernetes: {len(found)} objects of kind {kind}, where one is needed",
            "compare them with those that come with selfdeploy",
        )
    return found[0]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The effect of applying the object WANTED: BEFORE is the live object, None if it is new, and AFTER the result."""

    wanted: Object
    before: Object | None
    after: Object

    @property
    def is_one(self) -> bool:
        """True if applying the object changes anything."""
        return _told(self.before) != _told(self.after)

    def __str__(self) -> str:
        """Return the change as a diff."""
        name = describe(self.wanted)
        before, after = _told(self.before).splitlines(), _told(self.after).splitlines()
        return "\n".join(difflib.unified_diff(before, after, name, name, lineterm="", n=2))


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects of a namespace with the labels SELECTOR, through API."""

    api: Api
    selector: str
    _kinds: dict[str, dict[str, str]] = field(default_factory=dict, repr=False, compare=False)

    def _known(self, version: str) -> dict[str, str]:
        """Return the plural of each namespaced kind in the API VERSION; the API server is asked once."""
        if version not in self._kinds:
            told = self.api.call("GET", root(version), accept=(NOT_FOUND,))
            self._kinds[version] = shape.kinds(self.api.name, told.object)
        return self._kinds[version]

    def _plural(self, version: str, kind: str) -> str:
        if kind not in self._known(version):
            raise errors.ObjectRefused(
                f"{self.api.name}: the cluster has no namespaced {version} {kind}", "see `kubectl api-resources`"
            )
        return self._known(version)[kind]

    def path(self, wanted: Object) -> str:
        """Return the URL path of WANTED."""
        plural = self._plural(wanted["apiVersion"], wanted["kind"])
        return self.api.path(wanted["apiVersion"], plural, wanted["metadata"]["name"])

    def live(self, wanted: Object) -> Object | None:
        """Return the live object with WANTED's kind and name; None if there is none."""
        reply = self.api.call("GET", self.path(wanted), accept=(NOT_FOUND,))
        plural = self._plural(wanted["apiVersion"], wanted["kind"])
        return None if reply.code == NOT_FOUND else shape.check(self.api.name, plural, reply.object)

    def rehearse(self, wanted: Object) -> Object:
        """Apply WANTED in a dry run and return the result; nothing changes.

        Raises:
            errors.FieldConflict, errors.ObjectRefused, errors.ClusterForbidden, errors.NamespaceMissing: the server
                would refuse WANTED.
        """
        told = self._apply(wanted, {"dryRun": "All"})
        if told is None:
            raise errors.ObjectRefused(f"{self.api.name}: {describe(wanted)}: changes all the time", "try again")
        return shape.check_rehearsed(self.api.name, self._plural(wanted["apiVersion"], wanted["kind"]), told)

    def apply(self, wanted: Object, since: Object | None) -> Object:
        """Apply WANTED to the live object SINCE, or create it if SINCE is None; return the result.

        Raises:
            errors.LockLost: another process has changed the live object since.
            errors.SelfdeployError: the server refuses WANTED, as in `rehearse`.
        """
        body = copy.deepcopy(wanted)
        while True:
            body["metadata"].pop("resourceVersion", None)
            if since:
                body["metadata"]["resourceVersion"] = since["metadata"]["resourceVersion"]
            if told := self._apply(body, {}):
                return shape.check(self.api.name, self._plural(wanted["apiVersion"], wanted["kind"]), told)
            now = self.live(wanted)
            # A controller updates the status all the time; only a change of the spec makes another generation.
            if not since or not now or _generation(now) != _generation(since):
                raise self._overtaken(wanted)
            since = now

    def restart(self, deployment: Object) -> Object:
        """Replace all pods of DEPLOYMENT, the Deployment as applied; return the result.

        Raises:
            errors.LockLost: another process has changed it since.
        """
        notes = {RESTARTED: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        now: Object | None = deployment
        while now and _generation(now) == _generation(deployment):
            version = {"resourceVersion": now["metadata"]["resourceVersion"]}
            body = {"metadata": version, "spec": {"template": {"metadata": {"annotations": notes}}}}
            query = {"fieldManager": f"{MANAGER}-restart"}
            path = self.path(deployment)
            reply = self.api.call("PATCH", path, body, query=query, content=MERGE, accept=(CONFLICT,))
            if reply.code != CONFLICT:
                return shape.check(self.api.name, "deployments", reply.object)
            now = self.live(deployment)
        raise self._overtaken(deployment)

    def _overtaken(self, thing: Object) -> errors.LockLost:
        return errors.LockLost(
            f"{self.api.name}: {describe(thing)} was changed by somebody else meanwhile",
            "inv status shows what runs; then run the command again",
        )

    def _apply(self, body: Object, query: dict[str, str]) -> Object | None:
        """Return the result of applying BODY; None if the live object has another version than BODY names."""
        told = {"fieldManager": MANAGER, "fieldValidation": "Strict", **query}
        reply = self.api.call("PATCH", self.path(body), body, query=told, content=APPLY, accept=(CONFLICT,))
        if reply.code != CONFLICT:
            return reply.object
        if refusal.managers(reply.object):
            raise refusal.conflict(self.api.name, describe(body), reply.object)
        return None

    def changes(self, wanted: Sequence[Object]) -> list[Change]:
        """Return the change to each of WANTED, by a dry run; raises the errors of `rehearse`.

        A claim that has grown since keeps its size.
        """
        return [self._change(thing) for thing in wanted]

    def _change(self, thing: Object) -> Change:
        before = self.live(thing)
        wanted = claim.unshrunk(thing, before)
        return Change(wanted=wanted, before=before, after=self.rehearse(wanted))

    def surplus(self, wanted: Sequence[Object]) -> list[Object]:
        """Return the objects of the `PRUNED` kinds with our labels that are not among WANTED."""
        names = self._names(wanted)
        return [
            thing
            for version, plural in PRUNED
            for thing in self._listed(version, plural)
            if (plural, thing["metadata"]["name"]) not in names
        ]

    def _names(self, wanted: Sequence[Object]) -> set[tuple[str, str]]:
        return {(self._plural(thing["apiVersion"], thing["kind"]), thing["metadata"]["name"]) for thing in wanted}

    def _listed(self, version: str, plural: str) -> list[Object]:
        listed, _ = self.api.list(version, plural, labelSelector=self.selector)
        kinds = {name: kind for kind, name in self._known(version).items()}
        if listed and plural not in kinds:
            raise refusal.foreign(self.api.name, f"{plural} of a kind that it does not know")
        return [
            {"apiVersion": version, "kind": kinds[plural], **thing}
            for thing in listed
            if not thing["metadata"].get("deletionTimestamp")
        ]

    def delete(self, thing: Object) -> None:
        """Delete THING, then its dependents, unless it has changed since it was read."""
        exact = {key: thing["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": exact, "propagationPolicy": "Background"}
        self.api.call("DELETE", self.path(thing), body, accept=(NOT_FOUND, CONFLICT))


def without(things: Sequence[Object], kept: Collection[str]) -> list[Object]:
    """Return THINGS except the ConfigMaps named in KEPT."""
    return [thing for thing in things if thing["kind"] != "ConfigMap" or thing["metadata"]["name"] not in kept]


def describe(thing: Object) -> str:
    """Return KIND/NAME of THING, such as `deployment/web`."""
    return f"{thing['kind'].lower()}/{thing['metadata']['name']}"


def _generation(thing: Object) -> tuple[object, ...]:
    metadata = thing["metadata"]
    # An object without a generation has no status either: any new version is a change.
    return metadata["uid"], metadata.get("generation", metadata["resourceVersion"])


class _ForPeople(yaml.SafeDumper):
    """Writes a text of several lines as a block, so that a manifest inside an object is compared line by line."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_ForPeople.add_representer(str, _ForPeople.represent_str)


def _told(thing: Object | None) -> str:
    """Return THING's desired state as YAML: without status, CI run, and the metadata written by the server."""
    if thing is None:
        return ""
    metadata = {key: value for key, value in thing["metadata"].items() if key not in VOLATILE}
    notes = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != RUN}
    told = {key: value for key, value in thing.items() if key != "status"}
    whole = {**told, "metadata": {**metadata, **({"annotations": notes} if notes else {})}}
    try:
        return yaml.dump(whole, Dumper=_ForPeople)
    except RecursionError:
        raise errors.ObjectRefused(
            f"{metadata['name']}: nested too deeply to be compared", "no object of Kubernetes' is: see where it is from"
        ) from None
