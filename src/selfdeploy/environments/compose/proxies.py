"""Proxy variables in a container that come from its creator's Docker config, not from our files.

Compose's hash leaves them out. So a container made by another program, or by an earlier version of this one, keeps
them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

NAMES = frozenset({"ALL_PROXY", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"})
"""The variables that docker sets from `proxies` in its config.json, in upper and lower case."""


def foreign(variables: Iterable[str], image: Mapping[str, Any], rendered: str) -> list[str]:
    """Return the proxies among a container's VARIABLES (`NAME=value`) that are in neither IMAGE nor RENDERED.

    IMAGE is the engine's description of the image, RENDERED the Compose file.
    """
    config = image.get("Config")
    baked = config.get("Env") if isinstance(config, Mapping) else None
    known = _names(baked if isinstance(baked, list) else ()) | _rendered(rendered)
    return sorted(name for name in _names(variables) - known if name.upper() in NAMES)


def _names(variables: Iterable[object]) -> set[str]:
    return {str(variable).partition("=")[0] for variable in variables}


def _rendered(rendered: str) -> set[str]:
    try:
        environment = yaml.safe_load(rendered)["services"]["server"].get("environment") or {}
        return _names(environment)
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return set()  # `Compose.rehearse` says what is wrong with it
