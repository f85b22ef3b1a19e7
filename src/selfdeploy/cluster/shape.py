"""The shape of the API server's objects, by kind: an answer with another shape is refused."""

from typing import Annotated, Any

import pydantic
from pydantic.alias_generators import to_camel

from selfdeploy import errors
from selfdeploy.cluster import refusal

Number = Annotated[str, pydantic.Field(pattern=r"^[0-9]{1,30}$")]


class _Part(pydantic.BaseModel):
    """What others write: strict in the keys that are read, indifferent to all others."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class _Owner(_Part):
    uid: str
    controller: bool | None = None


class _Metadata(_Part):
    name: str
    uid: str
    resource_version: Number
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Object(_Part):
    metadata: _Metadata


class _Condition(_Part):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _Waiting(_Part):
    reason: str = ""
    message: str = ""


class _Ended(_Waiting):
    exit_code: int


class _State(_Part):
    waiting: _Waiting | None = None
    terminated: _Ended | None = None
    running: dict[str, Any] | None = None


class _Container(_Part):
    name: str
    image_id: str = pydantic.Field("", alias="imageID")
    restart_count: int = 0
    state: _State | None = None
    last_state: _State | None = None


class _PodStatus(_Part):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[_Condition] | None = None
    container_statuses: list[_Container] | None = None
    init_container_statuses: list[_Container] | None = None


class _Pod(_Object):
    status: _PodStatus


class _DeploymentStatus(_Part):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: list[_Condition] | None = None


class _ConfigMapVolume(_Part):
    name: str


class _Volume(_Part):
    name: str
    config_map: _ConfigMapVolume | None = None


class _PodSpec(_Part):
    volumes: list[_Volume] | None = None


class _Marks(_Part):
    labels: dict[str, str] | None = None


class _Template(_Part):
    metadata: _Marks | None = None
    spec: _PodSpec


class _Manager(_Part):
    manager: str = ""
    subresource: str = ""
    time: str | None = None
    fields_v1: dict[str, Any] | None = None


class _DeploymentMetadata(_Metadata):
    namespace: str
    generation: int
    managed_fields: list[_Manager] | None = None


class _DeploymentSpec(_Part):
    replicas: int
    paused: bool | None = None
    template: _Template


class _Deployment(_Object):
    metadata: _DeploymentMetadata
    spec: _DeploymentSpec
    status: _DeploymentStatus = _DeploymentStatus()


class _SetSpec(_Part):
    template: _Template


class _ReplicaSet(_Object):
    spec: _SetSpec


class _Uid(_Part):
    uid: str = ""


class _Conditions(_Part):
    ready: bool | None = None
    serving: bool | None = None


class _Endpoint(_Part):
    conditions: _Conditions | None = None
    target_ref: _Uid | None = None


class _Slice(_Object):
    endpoints: list[_Endpoint] | None = None


class _Event(_Object):
    involved_object: _Uid | None = None
    reason: str = ""
    message: str | None = None


class _LeaseSpec(_Part):
    holder_identity: str | None = None
    acquire_time: str | None = None
    lease_transitions: int | None = None


class _Lease(_Object):
    spec: _LeaseSpec


class _ConfigMap(_Object):
    data: dict[str, str] | None = None


class _Resources(_Part):
    requests: dict[str, str] | None = None


class _ClaimSpec(_Part):
    resources: _Resources | None = None


class _Claim(_Object):
    spec: _ClaimSpec


class _Named(_Part):
    """What a rehearsal returns of a new object: it has no version yet."""

    name: str
    annotations: dict[str, str] | None = None


class _Rehearsed(_Part):
    metadata: _Named


class _NamedDeployment(_Named):
    namespace: str
    managed_fields: list[_Manager] | None = None


class _Deployed(_Rehearsed):
    metadata: _NamedDeployment
    spec: dict[str, Any]


class _Resource(_Part):
    name: str
    kind: str
    namespaced: bool


class _Listed(_Part):
    resources: list[_Resource] | None = None


KINDS: dict[str, type[_Object]] = {
    "configmaps": _ConfigMap,
    "deployments": _Deployment,
    "endpointslices": _Slice,
    "events": _Event,
    "leases": _Lease,
    "persistentvolumeclaims": _Claim,
    "pods": _Pod,
    "replicasets": _ReplicaSet,
}


def check(name: str, kind: str, told: object) -> dict[str, Any]:
    """Return TOLD, an answer from the environment NAME's cluster, if it is an object of KIND (plural).

    Raises:
        errors.ClusterUnreachable: it has another shape, so no Kubernetes API, or an incomplete one, answered.
    """
    return _check(name, kind, KINDS.get(kind, _Object), told)


def check_rehearsed(name: str, kind: str, told: object) -> dict[str, Any]:
    """Return TOLD if it is the dry run of an object of KIND (plural). Raises the errors of `check`."""
    return _check(name, kind, _Deployed if kind == "deployments" else _Rehearsed, told)


def kinds(name: str, told: object) -> dict[str, str]:
    """Return the plural of each namespaced kind in TOLD, the resource list of an API version.

    Raises the errors of `check`.
    """
    listed = _check(name, "resources", _Listed, told).get("resources") or ()
    return {one["kind"]: one["name"] for one in listed if "/" not in one["name"] and one["namespaced"]}


def complaint(kind: str, told: object) -> str:
    """Return in one line why TOLD is not an object of KIND (plural); empty if it is one."""
    return _complaint(KINDS.get(kind, _Object), told)


def _check(name: str, kind: str, model: type[_Part], told: object) -> dict[str, Any]:
    why = _complaint(model, told)
    if why or not isinstance(told, dict):
        raise refusal.foreign(name, f"none of {kind}: {why}")
    return told


def _complaint(model: type[_Part], told: object) -> str:
    try:
        model.model_validate(told)
    except pydantic.ValidationError as exc:
        return errors.complaint(exc)
    return "" if isinstance(told, dict) else "no object"
