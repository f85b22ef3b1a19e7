"""A kubeconfig from a CI job's secret: held in memory for kubectl, and written to no file."""

import functools
import os

from selfdeploy import config

VARIABLE = "SF_KUBECONFIG"


@functools.cache
def hold(text: str) -> str:
    """Return a path at which our child processes can read TEXT while this process lives; it is on no disk."""
    handle = os.memfd_create("kubeconfig", 0)  # without close-on-exec: it survives `process.become`
    with os.fdopen(os.dup(handle), "wb") as memory:
        memory.write(os.fsencode(text))
    return f"/proc/{os.getpid()}/fd/{handle}"


def given() -> str:
    """Return the path of the kubeconfig in the variable SF_KUBECONFIG; empty if that is unset or blank."""
    text = os.environ.get(VARIABLE, "")
    return hold(text) if text.strip() else ""


def find(project: config.Project, name: str) -> str:
    """Return the kubeconfig's path for the environment NAME: SF_KUBECONFIG's, or else the one in deploy.toml.

    An empty path leaves the choice to kubectl.

    Raises:
        errors.ConfigInvalid: the path in deploy.toml is impossible.
    """
    named = project.kubernetes(name).kubeconfig
    return given() or (str(project.place(named, f"environments.{name}.kubeconfig")) if named else "")
