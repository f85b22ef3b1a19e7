"""The secrets of a Compose environment: their names in a Compose file, and their present values; stored nowhere."""

import os
from pathlib import Path

import yaml

from selfdeploy import config, errors


def read(project: config.Project, name: str) -> dict[str, str]:
    """Return the secrets of the environment NAME, read now from the files or variables in deploy.toml.

    Raises:
        errors.ConfigInvalid: a secret is missing, or contains a NUL.
    """
    values = {}
    for variable, secret in project.compose(name).secrets.items():
        where = f"environments.{name}.secrets.{variable}"
        place = f"{secret.env} is not set" if secret.env else f"{secret.file} cannot be read"
        try:
            found = os.environ[secret.env] if secret.env else _file(project, where, secret.file or "").read_text()
        except (KeyError, OSError, UnicodeDecodeError) as exc:
            raise errors.ConfigInvalid(f"deploy.toml: {where}: {place}", "provide it, or name another place") from exc
        if "\0" in found:
            raise errors.ConfigInvalid(f"deploy.toml: {where}: it has a NUL in it, as no variable can", "see the file")
        values[variable] = found.rstrip("\n")
    return values


def read_for(project: config.Project, name: str, rendered: str) -> dict[str, str]:
    """Return the secrets of `read`, after a check that they include all secrets of RENDERED, which may be older.

    Otherwise Compose would start the server without a missing secret, or with the caller's variable of the same name.

    Raises:
        errors.ConfigInvalid: RENDERED uses a secret that deploy.toml no longer names.
    """
    values = read(project, name)
    if missing := sorted(named(rendered) - set(values)):
        raise errors.ConfigInvalid(
            f"deploy.toml: environments.{name}.secrets: no {', '.join(missing)}, which the release to be started takes",
            f"name it there again, with a value that this release works with; then inv rollback -e {name}",
        )
    return values


def named(rendered: str) -> set[str]:
    """Return the names of the secrets in the Compose file RENDERED: its variables without a value.

    Raises:
        errors.ConfigInvalid: RENDERED is not a Compose file with a service 'server'.
    """
    try:
        told = yaml.safe_load(rendered)["services"]["server"].get("environment") or {}
        if isinstance(told, list):  # Compose's list form, which a custom template may use
            return {str(line) for line in told if "=" not in str(line)}
        return {str(name) for name, value in told.items() if value is None}
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise errors.ConfigInvalid(
            "templates/compose.yml.j2: what is rendered is no Compose file with a service 'server'",
            "compare it with the one that comes with selfdeploy",
        ) from exc


def _file(project: config.Project, where: str, file: str) -> Path:
    return project.place(file, f"{where}.file")
