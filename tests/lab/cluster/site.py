"""A project that releases a copy of the bundled application to two namespaces of a real cluster."""

import contextlib
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from lab import children, site
from lab.cluster import Cluster
from lab.cluster.name import resolve
from selfdeploy import render
from selfdeploy.config import deploy_toml

CLAIMS = ("sf-home", "sf-workspace")
KINDS = ("ServiceAccount", "Role", "RoleBinding")


@dataclass(frozen=True, kw_only=True)
class Site(site.Site):
    """A project folder whose environments are namespaces of CLUSTER, with an Ingress each where there are ADDRESSES."""

    cluster: Cluster
    namespaces: tuple[str, str]
    kubeconfig: Path = Path()
    addresses: tuple[str, ...] = ()

    def configure(
        self,
        *,
        top: str = "",
        image: str = "",
        probes: str = site.BRISK,
        test: str = "",
        prod: str = "replicas = 2",
    ) -> None:
        """Write deploy.toml; TOP is added to it, the others to the tables that they name."""
        super().configure(top=top, image=image, probes=probes)
        path = self.folder / "deploy.toml"
        head = path.read_text().partition("[environments.test]")[0]
        path.write_text(head + self._environment("test", test) + self._environment("prod", prod))

    def _environment(self, name: str, more: str) -> str:
        volume = '{class = "", access = "ReadWriteMany"}'
        return f"""
[environments.{name}]
kind = "kubernetes"
context = {json.dumps(self.cluster.context)}
kubeconfig = {json.dumps(str(self.kubeconfig))}
kubectl = {json.dumps(self.cluster.command)}
namespace = "{self.namespace(name)}"
storage = {{home = {volume}, workspace = {volume}}}
{f'ingress = {{host = "{self.host(name)}"}}' if self.addresses else ""}
{f'url = "{self.public_url(name)}"' if self.addresses else ""}
resources = {{requests = {{cpu = "10m", memory = "64Mi"}}}}
deadline = 90
{"" if "drain" in more else "drain = 1"}
{more}
"""

    def namespace(self, name: str) -> str:
        """Return the namespace of the environment NAME."""
        return self.namespaces[0 if name == "test" else 1]

    def host(self, name: str) -> str:
        """Return the name by which the Ingress of the environment NAME is reached."""
        return f"{self.namespace(name)}.example"

    def public_url(self, name: str) -> str:
        """Return the address on this machine that leads to the Ingress of the environment NAME."""
        return self.addresses[0 if name == "test" else 1]

    def kubectl(self, name: str, *argv: str) -> str:
        """Run kubectl, as the cluster's administrator, in the namespace of the environment NAME."""
        return self.cluster.kubectl(f"--namespace={self.namespace(name)}", *argv)

    def get(self, name: str, *argv: str) -> dict[str, Any]:
        """Return what `kubectl get` with ARGV says in the namespace of the environment NAME, as data."""
        return self.cluster.get(f"--namespace={self.namespace(name)}", *argv)

    def pods(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the pods of the environment NAME that are not on their way out, by uid."""
        listed = self.get(name, "pods", "--selector=app.kubernetes.io/instance=sf")["items"]
        return {pod["metadata"]["uid"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}

    def version(self, environment: str) -> dict[str, str]:
        """Return what the server of ENVIRONMENT says it is: one that its Service leads to."""
        path = f"/api/v1/namespaces/{self.namespace(environment)}/services/sf:http/proxy/api/version"
        told: dict[str, str] = json.loads(self.cluster.kubectl("get", f"--raw={path}"))
        return told

    def public_version(self, environment: str) -> dict[str, str]:
        """Return what the server of ENVIRONMENT says it is, through its Ingress."""
        told: dict[str, str] = requests.get(f"{self.public_url(environment)}/api/version", timeout=5).json()
        return told

    def record(self, name: str) -> dict[str, Any]:
        """Return the record of the environment NAME."""
        told: dict[str, Any] = json.loads(self.get(name, "configmap", "sf-record")["data"]["record.json"])
        return told

    def attempt(self, name: str) -> dict[str, Any]:
        """Return the last attempt on the environment NAME, as its record has it."""
        told: dict[str, Any] = self.record(name)["attempts"][0]
        return told

    def seconds(self, name: str) -> float:
        """Return how long the last attempt on the environment NAME took."""
        told = self.attempt(name)
        began, ended = (datetime.datetime.fromisoformat(told[when]) for when in ("began", "ended"))
        return (ended - began).total_seconds()

    def template(self, old: str, new: str) -> None:
        """Have the project's own template of the Deployment, with NEW where the one that comes with us has OLD."""
        path = Path("templates", "kubernetes", "deployment.yml.j2")
        text = (site.ROOT / path).read_text()
        if old not in text:
            raise children.LabError(f"{path}: no {old!r} in it")
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text.replace(old, new))

    def admit(self) -> None:
        """Write the kubeconfig of an account with the Role that is rendered for each namespace, and no other right."""
        project, subject = deploy_toml.load(self.folder), dict[str, str]()
        for name in ("test", "prod"):
            account, role, binding = sorted(
                yaml.safe_load_all(render.rights(project, name)), key=lambda one: KINDS.index(one["kind"])
            )
            subject = subject or {**account["metadata"], "kind": account["kind"]}
            self.cluster.apply(account, role, {**binding, "subjects": [subject]})
        namespace = f"--namespace={subject['namespace']}"
        token = self.cluster.kubectl(namespace, "create", "token", subject["name"], "--duration=4h").strip()
        told = yaml.safe_load(self.cluster.kubeconfig.read_text())
        told["users"] = [{**one, "user": {"token": token}} for one in told["users"]]
        self.kubeconfig.write_text(json.dumps(told))

    def close(self) -> None:
        """Do nothing: what the site made goes with its namespaces."""


@contextlib.contextmanager
def make(
    cluster: Cluster, folder: Path, ship: Path, repository: str, *, public: bool = False, **settings: object
) -> Iterator[Site]:
    """Return a site in FOLDER that releases what SHIP holds to two new namespaces of CLUSTER, until the block ends.

    Unless SETTINGS name another `kubeconfig`, it does so with the rights alone that are rendered for that.
    """
    with contextlib.ExitStack() as held:
        names = (held.enter_context(cluster.namespace()), held.enter_context(cluster.namespace()))
        for namespace in names:
            held.enter_context(cluster.volumes(namespace, *CLAIMS))
        hosts = [f"{namespace}.example" for namespace in names] if public else []
        addresses = tuple(held.enter_context(resolve(host, cluster.ingress)) for host in hosts)
        given: dict[str, Any] = {"kubeconfig": folder.with_suffix(".kubeconfig"), "addresses": addresses, **settings}
        made = Site(
            folder=folder,
            name=names[0],
            ship=ship,
            repository=repository,
            cluster=cluster,
            namespaces=names,
            **given,
        )
        made.lay_out()
        if "kubeconfig" not in settings:
            made.admit()
        yield made
