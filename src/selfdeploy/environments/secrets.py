"""The secrets of a Compose environment: which a Compose file takes, and their values now; kept nowhere."""

import os
from pathlib import Path

import yaml

from selfdeploy import config, errors


def read(project: config.Project, name: str) -> dict[str, str]:
    """Return the secrets of the environment NAME; read now, from the files or variables that deploy.toml names.

    Raises:
        errors.ConfigInvalid: one of them is not there.
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
    """Return `read`'s secrets, when RENDERED, which may be of another day, takes none but them.

    Compose would start the server without one that is missing, or with whatever the caller's environment has under
    that name.

    Raises:
        errors.ConfigInvalid: RENDERED takes one that deploy.toml no longer names.
    """
    values = read(project, name)
    if missing := sorted(named(rendered) - set(values)):
        raise errors.ConfigInvalid(
            f"deploy.toml: environments.{name}.secrets: no {', '.join(missing)}, which the release to be started takes",
            f"name it there again, with a value that this release works with; then inv rollback -e {name}",
        )
    return values


def named(rendered: str) -> set[str]:
    """Return the names of the secrets that the Compose file RENDERED takes: its variables without a value.

    Raises:
        errors.ConfigInvalid: it is none.
    """
    try:
        told = yaml.safe_load(rendered)["services"]["server"].get("environment") or {}
        if isinstance(told, list):  # Compose's other way to write it, which a template of one's own may have
            return {str(line) for line in told if "=" not in str(line)}
        return {str(name) for name, value in told.items() if value is None}
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise errors.ConfigInvalid(
            "templates/compose.yml.j2: what is rendered is no Compose file with a service 'server'",
            "compare it with the one that comes with selfdeploy",
        ) from exc


def _file(project: config.Project, where: str, file: str) -> Path:
    return project.place(file, f"{where}.file")
