"""What deploy.toml says of an environment in a Kubernetes namespace."""

import ipaddress
import math
from typing import Annotated, Literal

import pydantic

from selfdeploy.config.environment import Common
from selfdeploy.config.values import Seconds, Text, Value, Variable

Label = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Subdomain = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Quantity = Annotated[str, pydantic.Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")]
Annotation = Annotated[str, pydantic.Field(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,62})$")]


ONE_NODE = "local-path"
"""The StorageClass of k3s, its default: every volume is a folder of one node."""


class SecretKey(Value):
    """A key of a Secret that is in the namespace; the value itself never comes here."""

    name: Subdomain = pydantic.Field(description="The Secret.")
    key: str = pydantic.Field(pattern=r"^[A-Za-z0-9._-]{1,253}$", description="The key in it.")


class Volume(Value):
    """A volume that outlives the pods."""

    claim: Subdomain | None = pydantic.Field(
        None, description="A PersistentVolumeClaim that is there already; one is made when left out."
    )
    size: Quantity = pydantic.Field("5Gi", description="How much is claimed.")
    class_: Subdomain | Literal[""] | None = pydantic.Field(
        None,
        alias="class",
        description="The StorageClass; the cluster's default when left out, volumes without one when empty.",
    )
    access: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] = pydantic.Field(
        "ReadWriteOnce", description="By whom it can be mounted: the pods of one node, one pod, or all."
    )

    @pydantic.model_validator(mode="after")
    def _there_or_made(self) -> "Volume":
        if self.claim and self.model_fields_set & {"size", "class_"}:
            raise ValueError("a claim that is there already has its own size and class; leave them out")
        if self.class_ == ONE_NODE and self.access == "ReadWriteMany":
            raise ValueError(
                f"{ONE_NODE} keeps a volume on one node, and has none that is ReadWriteMany: name a class that shares "
                "volumes between nodes (nfs), or leave access out and let strategy be recreate"
            )
        return self


class Storage(Value):
    """What is kept."""

    home: Volume = pydantic.Field(Volume(), description="The server's home folder, with its `~/.sf`.")
    workspace: Volume = pydantic.Field(Volume(), description="The folder at /workspace.")

    @property
    def volumes(self) -> dict[str, Volume]:
        """The volumes by name."""
        return {"home": self.home, "workspace": self.workspace}


class Resources(Value):
    """What one pod is promised, and what it is held to."""

    requests: dict[Literal["cpu", "memory", "ephemeral-storage"], Quantity] = pydantic.Field(
        {"cpu": "100m", "memory": "256Mi"}, description="What one pod is promised."
    )
    limits: dict[Literal["cpu", "memory", "ephemeral-storage"], Quantity] = pydantic.Field(
        {"cpu": "2", "memory": "1Gi"}, description="What one pod is held to."
    )


class Ingress(Value):
    """The public way in."""

    host: Subdomain = pydantic.Field(description="The name it is reached by.")
    class_: Subdomain = pydantic.Field("traefik", alias="class", description="The IngressClass.")
    tls: Subdomain | None = pydantic.Field(
        None, description="The Secret with its certificate and key; no TLS there when left out."
    )
    annotations: dict[Annotation, Text] = pydantic.Field({}, description="Annotations for the controller.")
    guard: dict[Annotation, Text] = pydantic.Field(
        {}, description="Annotations that ask for a login; the probe paths get an Ingress without them."
    )

    @pydantic.model_validator(mode="after")
    def _apart(self) -> "Ingress":
        if twice := sorted(set(self.annotations) & set(self.guard)):
            raise ValueError(f"{', '.join(twice)}: both in 'annotations' and in 'guard'")
        return self

    @property
    def url(self) -> str:
        """The address that it is reached at."""
        return f"{'https' if self.tls else 'http'}://{self.host}"


class Network(Value):
    """Who may connect to the pods; the node's own kubelet always can."""

    namespaces: tuple[Label, ...] = pydantic.Field(
        ("kube-system",), description="Namespaces whose pods may connect: the one of the Ingress controller."
    )
    addresses: tuple[str, ...] = pydantic.Field(
        (),
        description="Addresses that may connect, as CIDR: those that the API server's proxy comes from, "
        "where it is on another node.",
    )

    @pydantic.field_validator("addresses")
    @classmethod
    def _ranges(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_network(address)) for address in addresses)


class Kubernetes(Common):
    """One place the release is rolled out to: a namespace of a cluster."""

    kind: Literal["kubernetes"] = pydantic.Field(description="The runtime.")
    context: str = pydantic.Field(
        pattern=r"^[^\s-][^\n\r]*$", description="The kubeconfig's context; never its current one."
    )
    kubeconfig: str = pydantic.Field("", description="The kubeconfig's file; kubectl's own choice when empty.")
    kubectl: tuple[str, ...] = pydantic.Field(
        ("kubectl",), min_length=1, description="The kubectl command; `k3s`, `kubectl` where k3s brings it."
    )
    namespace: Label = pydantic.Field(description="The namespace; it is there already.")
    name: str = pydantic.Field(
        "sf", pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", description="What its objects are called."
    )
    replicas: int = pydantic.Field(1, ge=1, le=100, description="How many pods.")
    strategy: Literal["rolling", "recreate"] | None = pydantic.Field(
        None,
        description="New pods before the old go, or after; when left out, rolling if every volume is ReadWriteMany.",
    )
    deadline: Seconds = pydantic.Field(
        300.0, description="Seconds until a rollout that is not done fails; more than `drain` and `grace`."
    )
    startup: int = pydantic.Field(60, ge=1, le=3600, description="Seconds that a pod has for its first answer.")
    drain: int = pydantic.Field(
        5,
        ge=0,
        le=300,
        description="Seconds that a pod which goes still answers, before SIGTERM, while routes to it are withdrawn; "
        "none with `recreate`.",
    )
    url: str = pydantic.Field(
        "", pattern=r"^(|https?://[^\s]+)$", description="The public way to it; the Ingress's host when empty."
    )
    ingress: Ingress | None = pydantic.Field(None, description="The public way in; none when left out.")
    network: Network = pydantic.Field(Network(), description="Who may connect to the pods.")
    storage: Storage = pydantic.Field(Storage(), description="What is kept.")
    resources: Resources = pydantic.Field(Resources(), description="What one pod is promised, and what it is held to.")
    secrets: dict[Variable, SecretKey] = pydantic.Field(
        {}, description="Secret environment variables of the server, by reference."
    )
    pull_secrets: tuple[Subdomain, ...] = pydantic.Field(
        (), description="Secrets in the namespace that the image is pulled with."
    )

    @pydantic.model_validator(mode="after")
    def _fit(self) -> "Kubernetes":
        self.refuse_names(self.secrets)
        for name, volume in self.storage.volumes.items():
            if volume.access == "ReadWriteOncePod" and (self.replicas > 1 or self.strategy == "rolling"):
                raise ValueError(f"storage.{name}.access: one pod mounts it: replicas = 1, strategy = 'recreate'")
        if self.termination >= self.deadline:
            raise ValueError(f"deadline: over before a pod has ended: drain and grace take {self.termination} s")
        return self

    @property
    def rolls(self) -> bool:
        """Whether new pods answer before the old ones go, so that nobody is left without an answer."""
        if self.strategy:
            return self.strategy == "rolling"
        return all(volume.access == "ReadWriteMany" for volume in self.storage.volumes.values())

    @property
    def drains(self) -> int:
        """Seconds of `drain` that a pod which goes has: none where nothing takes over meanwhile."""
        return self.drain if self.rolls else 0

    @property
    def termination(self) -> int:
        """Seconds that a pod which goes has in all: its drain, and after it the whole grace."""
        return self.drains + math.ceil(self.grace)

    @property
    def shares_node(self) -> bool:
        """Whether its pods have to be on one node: several at once, and a volume that one node mounts."""
        several = self.rolls or self.replicas > 1
        return several and any(volume.access != "ReadWriteMany" for volume in self.storage.volumes.values())

    @property
    def public_url(self) -> str:
        """The public way to it; empty when there is none."""
        return self.url.rstrip("/") or (self.ingress.url if self.ingress else "")

    @property
    def cluster(self) -> tuple[str, str]:
        """What tells its cluster from others."""
        return self.kubeconfig, self.context
