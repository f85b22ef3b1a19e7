"""A kubeconfig that a CI job has as a secret: held in memory for kubectl to read, and in no file."""

import functools
import os

from selfdeploy import config

VARIABLE = "SF_KUBECONFIG"


@functools.cache
def hold(text: str) -> str:
    """Return a path at which our own children read TEXT for as long as this process lives; it is on no disk."""
    handle = os.memfd_create("kubeconfig", 0)  # survives our becoming another program
    with os.fdopen(os.dup(handle), "wb") as memory:
        memory.write(os.fsencode(text))
    return f"/proc/{os.getpid()}/fd/{handle}"


def given() -> str:
    """Return the path of the kubeconfig that the environment holds; empty when it holds none."""
    text = os.environ.get(VARIABLE, "")
    return hold(text) if text.strip() else ""


def find(project: config.Project, name: str) -> str:
    """Return the path of the kubeconfig for the environment NAME: the one given, or the file that deploy.toml names.

    Empty leaves it to kubectl.

    Raises:
        errors.ConfigInvalid: deploy.toml names a place that cannot be.
    """
    named = project.kubernetes(name).kubeconfig
    return given() or (str(project.place(named, f"environments.{name}.kubeconfig")) if named else "")
