"""From a manifest and an environment to the files its runtime takes; pure, and equal input makes equal bytes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from selfdeploy import config, errors
from selfdeploy.manifest import Manifest

LABEL = "dev.selfdeploy"
HEALTHCHECK = (
    'fetch("http://127.0.0.1:4000/api/healthz",{redirect:"manual"})'
    ".then(r=>process.exit(r.status===200?0:1),()=>process.exit(1))"
)


def folder(project: config.Project, name: str) -> Path:
    """Return the folder NAME (`templates` or `docker`): the project's own, or else the one that comes with us."""
    for place in (project.root / name, Path(__file__).parent / name, Path(__file__).parents[2] / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(name)


def manifest_volume(manifest: Manifest) -> str:
    """Return the name of the volume that holds MANIFEST; its content names it."""
    return f"sf-manifest-{manifest.release.removeprefix('sha256:')[:24]}"


def labels(manifest: Manifest) -> dict[str, str]:
    """Return the labels of every replica of a release."""
    return {
        "org.opencontainers.image.revision": manifest.source.revision,
        f"{LABEL}.release": manifest.release,
        f"{LABEL}.digest": manifest.image.digest,
    }


def _encode(value: object, **options: Any) -> str:  # noqa: ANN401 -- whatever json.dumps takes
    """Return VALUE as JSON that is YAML as well, which knows no surrogate pairs and breaks lines at more characters."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return re.sub("[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)


def compose(project: config.Project, name: str, manifest: Manifest) -> str:
    """Return the Compose file that runs MANIFEST's release in the environment NAME."""
    environment = project.environment(name)
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder(project, "templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- YAML, where every string passes tojson
        keep_trailing_newline=True,
    )
    engine.policies["json.dumps_function"] = _encode
    return engine.get_template("compose.yml.j2").render(
        project=project.compose_project(name),
        image=manifest.image.reference,
        grace=f"{environment.grace:g}s",
        variables=sorted(environment.variables.items()),
        secrets=sorted(environment.secrets),
        labels=sorted(labels(manifest).items()),
        bind=environment.bind,
        port=environment.port,
        healthcheck=HEALTHCHECK,
        manifest_volume=manifest_volume(manifest),
    )


def vega(project: config.Project, values: Mapping[str, object]) -> str:
    """Return the Compose file of the vega server that VALUES describe; the project's own template wins."""
    places = (project.root, Path(__file__).parent, Path(__file__).parents[2])
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(places),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- YAML, where every string passes tojson or quoted
        keep_trailing_newline=True,
    )
    engine.policies["json.dumps_function"] = _encode
    engine.filters["quoted"] = lambda text: _encode(text.replace("$", "$$"))  # Compose reads $ as a variable
    try:
        return engine.get_template("compose.vega.yml.j2").render(values, healthcheck=HEALTHCHECK)
    except jinja2.TemplateError as exc:
        raise errors.ConfigInvalid(f"compose.vega.yml.j2: {exc}", "compare it with the one that comes with us") from exc
