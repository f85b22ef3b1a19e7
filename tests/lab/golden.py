"""Files that are made, and kept to be read: `PYTHONPATH=tests .venv/bin/python -m lab.golden` renews them."""

import json
from pathlib import Path

from lab import values
from selfdeploy import manifest, render
from selfdeploy.config import effective

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "tests" / "unit" / "golden" / "compose.yml"
KUBERNETES = ROOT / "tests" / "unit" / "golden" / "kubernetes.yml"
SCHEMA = ROOT / "docs" / "release-manifest.schema.json"
DEPLOY = ROOT / "docs" / "deploy.schema.json"
RENEW = "renew it when that is what was meant: PYTHONPATH=tests .venv/bin/python -m lab.golden"


def compose() -> str:
    """Return the Compose file of an environment with one of everything."""
    secrets = {"SF_AUTH_TOKEN": {"env": "TOKEN"}}
    test = values.an_environment(
        4101, variables={"SF_GREETING": 'say "$HOME" \\ 😀'}, secrets=secrets, memory="1.5Gi", cpus="500m"
    )
    return render.compose(values.a_project(environments={"test": test}), "test", values.a_manifest())


def kubernetes() -> str:
    """Return the objects of an environment with one of everything."""
    project = values.a_project(environments={"test": values.a_namespace_with_everything()})
    return render.kubernetes(project, "test", values.a_manifest())


def schema() -> str:
    """Return the JSON Schema of the release manifest."""
    return json.dumps(manifest.schema(), indent=2, sort_keys=True) + "\n"


def deploy() -> str:
    """Return the JSON Schema of deploy.toml."""
    return json.dumps(effective.schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    COMPOSE.write_text(compose())
    KUBERNETES.write_text(kubernetes())
    SCHEMA.write_text(schema())
    DEPLOY.write_text(deploy())
