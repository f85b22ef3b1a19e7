"""Rendering of a manifest and an environment to the runtime's files; pure, and equal input gives equal bytes."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from selfdeploy import config, errors, shipped
from selfdeploy.manifest import PROBES, Manifest

LABEL = "dev.selfdeploy"
MANAGED_BY = "app.kubernetes.io/managed-by"
HEALTHCHECK = (
    'require("http").get({host:"127.0.0.1",port:4000,path:"/api/healthz",agent:false},'
    'r=>process.exit(r.statusCode===200?0:1)).on("error",()=>process.exit(1))'
)
"""Script for node that asks the server; its own agent bypasses any proxy in the server's variables."""


def manifest_name(release: str, prefix: str = "sf") -> str:
    """Return the name of the volume or ConfigMap for the manifest of RELEASE, an id; it begins with PREFIX."""
    return f"{prefix}-manifest-{release.removeprefix('sha256:')[:24]}"


def labels(manifest: Manifest) -> dict[str, str]:
    """Return the labels of a release's replicas."""
    return {
        "org.opencontainers.image.revision": manifest.source.revision,
        f"{LABEL}.release": manifest.release,
        f"{LABEL}.digest": manifest.image.digest,
    }


def _encode(value: object, **options: Any) -> str:  # noqa: ANN401 -- whatever json.dumps takes
    """Return VALUE in JSON's syntax for YAML, with all but printable ASCII escaped.

    YAML does not have surrogate pairs, and breaks lines at more characters than JSON.
    """
    text = json.dumps(value, ensure_ascii=False, **options)
    return re.sub("[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)


def _fill(project: config.Project, template: str, values: Mapping[str, object]) -> str:
    """Fill TEMPLATE, the project's own or else ours, with VALUES."""
    import jinja2  # noqa: PLC0415 -- start-up is a feature

    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped.places(project)),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- YAML, where every string passes tojson or quoted
        keep_trailing_newline=True,
    )
    engine.policies["json.dumps_function"] = _encode
    engine.filters["quoted"] = lambda text: _encode(text.replace("$", "$$"))  # Compose and the kubelet expand $
    try:
        return engine.get_template(template).render(values, healthcheck=HEALTHCHECK)
    except jinja2.TemplateError as exc:
        raise errors.ConfigInvalid(f"{template}: {exc}", "compare it with the one that comes with us") from exc


def page(template: str, values: Mapping[str, object], project: config.Project) -> str:
    """Fill TEMPLATE, an HTML page, with VALUES, escaping their markup."""
    import jinja2  # noqa: PLC0415 -- start-up is a feature

    loader = jinja2.FileSystemLoader(shipped.places(project))
    engine = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True)
    try:
        return engine.get_template(template).render(values)
    except jinja2.TemplateError as exc:
        raise errors.ConfigInvalid(f"{template}: {exc}", "compare it with the one that comes with us") from exc


def compose(project: config.Project, name: str, manifest: Manifest, front_image: str = "") -> str:
    """Return the Compose file for MANIFEST's release in the environment NAME.

    FRONT_IMAGE is the image of the front, if one of ours publishes the port.
    """
    environment = project.compose(name)
    traefik = environment.traefik
    values = {
        "project": project.compose_project(name),
        "image": manifest.image.reference,
        "grace": f"{environment.grace:g}s",
        "variables": sorted(environment.variables.items()),
        "secrets": sorted(environment.secrets),
        "labels": sorted(labels(manifest).items()),
        "bind": environment.bind,
        "port": environment.port,
        "manifest_volume": manifest_name(manifest.release),
        **environment.limits,
        "rolls": environment.rolls,
        "front": json.dumps({"front": environment.front} | ({"traefik": traefik.model_dump()} if traefik else {})),
        "front_image": front_image,
        "network": traefik.network if traefik else "",
    }
    return _fill(project, "templates/compose.yml.j2", values)


def vega(project: config.Project, values: Mapping[str, object]) -> str:
    """Return the Compose file of the vega server with VALUES; the project's own template takes precedence."""
    return _fill(project, "compose.vega.yml.j2", values)


def kubernetes(project: config.Project, name: str, manifest: Manifest) -> str:
    """Return the objects of MANIFEST's release in the environment NAME, as one YAML text of many documents."""
    return "".join(f"---\n{text}" for text in objects(project, name, manifest).values())


def objects(project: config.Project, name: str, manifest: Manifest) -> dict[str, str]:
    """Return the objects of MANIFEST's release in the environment NAME, by file name, in the order to apply them."""
    environment = project.kubernetes(name)
    values = _common(environment) | _pod(environment, manifest)
    told = {"service-account": values, "config-map": values}
    for volume, settings in environment.storage.volumes.items():
        if settings.claim is None:
            claim = {"volume": settings, "claim": _claim(environment, volume)}
            told[f"persistent-volume-claim-{volume}"] = values | claim
    told |= {"network-policy": values, "service": values, "deployment": values}
    if environment.replicas > 1:
        told["pod-disruption-budget"] = values
    for ingress, more in _ingresses(environment, manifest).items():
        told[ingress] = values | more
    return {
        f"{file}.yml": _fill(project, f"templates/kubernetes/{_template(file)}.yml.j2", given)
        for file, given in told.items()
    }


def rights(project: config.Project, name: str) -> str:
    """Return a CI job's least privileges in the environment NAME: ServiceAccount, Role and RoleBinding."""
    environment = project.kubernetes(name)
    made = [_claim(environment, volume) for volume, told in environment.storage.volumes.items() if told.claim is None]
    values = {
        "account": f"{environment.name}-deploy",
        "name": environment.name,
        "namespace": environment.namespace,
        "lock": f"{environment.name}-lock",
        "routes": [environment.name, f"{environment.name}-probes"],
        "made_claims": made,
        "service_port": f"{environment.name}:http",
        "enters": project.probes.needs_token,
    }
    files = ("service-account", "role", "role-binding")
    return "".join(f"---\n{_fill(project, f'templates/kubernetes/rights/{file}.yml.j2', values)}" for file in files)


def selector(environment: config.Kubernetes) -> dict[str, str]:
    """Return the labels that select ENVIRONMENT's pods; they are the same for every release."""
    return {"app.kubernetes.io/name": "sf", "app.kubernetes.io/instance": environment.name}


def annotations(manifest: Manifest) -> dict[str, str]:
    """Return the annotations of a release's objects."""
    return {
        f"{LABEL}/revision": manifest.source.revision,
        f"{LABEL}/release": manifest.release,
        f"{LABEL}/digest": manifest.image.digest,
    }


def _common(environment: config.Kubernetes) -> dict[str, object]:
    """Return the template values shared by all releases."""
    namespaces = (
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        for namespace in sorted(environment.network.namespaces)
    )
    addresses = ({"ipBlock": {"cidr": address}} for address in sorted(environment.network.addresses))
    return {
        "name": environment.name,
        "namespace": environment.namespace,
        "selector": selector(environment),
        "labels": {**selector(environment), MANAGED_BY: "selfdeploy"},
        "pull_secrets": sorted(environment.pull_secrets),
        "peers": [*namespaces, *addresses],
    }


def _pod(environment: config.Kubernetes, manifest: Manifest) -> dict[str, object]:
    """Return the template values of MANIFEST's release."""
    volumes = environment.storage.volumes.items()
    return {
        "annotations": annotations(manifest),
        "release_labels": {
            **selector(environment),
            MANAGED_BY: "selfdeploy",
            "app.kubernetes.io/version": manifest.source.revision,
        },
        "manifest_name": manifest_name(manifest.release, environment.name),
        "manifest": manifest.bytes.decode(),
        "image": manifest.image.reference,
        "architectures": sorted({platform.split("/")[1] for platform in manifest.image.platforms}),
        "replicas": environment.replicas,
        "deadline": math.ceil(environment.deadline),
        "rolls": environment.rolls,
        "shares_node": environment.shares_node,
        # The preStop sleep and the server share the termination period, and the server gets its whole grace.
        "drain": environment.drains,
        "termination": environment.termination,
        "startup": environment.startup,
        "variables": sorted(environment.variables.items()),
        "secrets": sorted((name, secret.model_dump()) for name, secret in environment.secrets.items()),
        "healthz": manifest.probes["healthz"],
        "ready": manifest.probes["ready"],
        # The API server drops an empty list or map: each apply would set it again, and conflict over it.
        "resources": {kind: told for kind, told in environment.resources.model_dump().items() if told},
        "claims": [(volume, settings.claim or _claim(environment, volume)) for volume, settings in volumes],
    }


def _claim(environment: config.Kubernetes, volume: str) -> str:
    return f"{environment.name}-{volume}"


def _ingresses(environment: config.Kubernetes, manifest: Manifest) -> dict[str, dict[str, object]]:
    """Return the template values of the Ingress; behind a login, also of one for the probes without it."""
    ingress = environment.ingress
    if ingress is None:
        return {}
    told: dict[str, dict[str, object]] = {
        "ingress": {
            "ingress": ingress,
            "ingress_name": environment.name,
            "ingress_annotations": {**ingress.annotations, **ingress.guard},
            "paths": [("/", "Prefix")],
        }
    }
    if ingress.guard:
        told["ingress-probes"] = {
            "ingress": ingress,
            "ingress_name": f"{environment.name}-probes",
            "ingress_annotations": ingress.annotations,
            "paths": [(path, "Exact") for path in sorted({manifest.probes[probe] for probe in PROBES})],
        }
    return told


def _template(file: str) -> str:
    """Return the template of FILE; objects of one kind share a template."""
    return next(kind for kind in ("persistent-volume-claim", "ingress", file) if file.startswith(kind))
