"""Releases, projects and rounds of asking as values, for tests that say only what matters to them."""

import json
from pathlib import Path
from typing import Any

from selfdeploy import config, manifest, provenance
from selfdeploy.config import deploy_toml
from selfdeploy.environments import record
from selfdeploy.probes.witness import Answer, Replica, Round

REVISION = "a" * 40
OLDER = "c" * 40
INDEX, CHILD, CONFIG, OTHER = (f"sha256:{letter * 64}" for letter in "1239")
HOLDER = provenance.Holder(who="ci@builder", run="https://forgejo.lan/o/sf/actions/runs/7")
OK = Answer(status=200, body="{}")


def a_manifest(**changes: object) -> manifest.Manifest:
    values: dict[str, Any] = {
        "source": manifest.Source(repository="local", revision=REVISION, path=".", tree="b" * 40),
        "gates": tuple(manifest.Gate(name=name, command="x") for name in manifest.REQUIRED_GATES),
        "image": manifest.Image(
            repository="127.0.0.1:5000/sf",
            digest=INDEX,
            mediaType="application/vnd.oci.image.index.v1+json",
            platforms={"linux/amd64": manifest.Platform(digest=CHILD, config=CONFIG)},
        ),
        "probes": manifest.PROBES,
    }
    return manifest.Manifest(schema=1, **{**values, **changes})


def a_project(root: Path = Path("/nowhere"), **sections: dict[str, Any]) -> config.Project:
    return deploy_toml.parse(sections, root=root)


def an_environment(port: int, **keys: object) -> dict[str, object]:
    return {"kind": "compose", "port": port, **keys}


def a_namespace(**keys: object) -> dict[str, object]:
    return {"kind": "kubernetes", "context": "lab", "namespace": "sf-test", **keys}


def a_namespace_with_everything() -> dict[str, object]:
    """A namespace whose every key is given, but for those that exclude another."""
    return a_namespace(
        replicas=2,
        strategy="rolling",
        kubeconfig="~/.kube/lab",
        kubectl=["k3s", "kubectl"],
        name="sf-one",
        url="https://sf.example.test/",
        variables={"SF_GREETING": 'say "$(HOME)" \\ 😀'},
        secrets={"SF_AUTH_TOKEN": {"name": "sf-auth", "key": "token"}},
        pull_secrets=["registry"],
        ingress={
            "host": "sf.example.test",
            "class": "traefik",
            "tls": "sf-tls",
            "annotations": {"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"},
            "guard": {"traefik.ingress.kubernetes.io/router.middlewares": "sf-test-login@kubernetescrd"},
        },
        network={"namespaces": ["traefik"], "addresses": ["192.168.7.0/24"]},
        storage={
            "home": {"size": "1Gi", "class": "nfs", "access": "ReadWriteMany"},
            "workspace": {"claim": "repositories", "access": "ReadWriteMany"},
        },
        resources={"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        grace=20.5,
        drain=7,
    )


def a_version(made: manifest.Manifest, **told: object) -> Answer:
    """What a replica of MADE's release answers, but for what is TOLD otherwise."""
    value = {
        "revision": made.source.revision,
        "release": made.release,
        "image": made.image.reference,
        "instance": "i",
        **told,
    }
    return Answer(status=200, body=json.dumps(value))


def the_answers(made: manifest.Manifest, **told: object) -> dict[str, Answer]:
    return {"healthz": OK, "ready": OK, "version": a_version(made, **told)}


def a_replica(name: str = "r", instance: str = "i", digest: str = CONFIG, state: str = "running") -> Replica:
    return Replica(name=name, instance=instance, digests=frozenset({digest}), state=state)


def a_round(made: manifest.Manifest, *replicas: Replica, **told: object) -> Round:
    """One round in which REPLICAS, or else one, answer as MADE's release does, but for what is TOLD otherwise."""
    listed = replicas or (a_replica(),)
    answers = {replica.name: the_answers(made, **{"instance": replica.instance, **told}) for replica in listed}
    return Round(before=listed, after=listed, answers=answers)


def a_proven(release: str = "r", rendered: str = "c") -> record.Proven:
    return record.Proven(release=release, digest=INDEX, revision=REVISION, manifest="m", rendered=rendered)


def an_attempt(release: str = "r") -> record.Attempt:
    return record.Attempt(release=release, digest=INDEX, revision=REVISION, who="w", began="t")
